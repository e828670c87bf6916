/** Where the files of jobs live, and how they are wiped. */

export { chooseWorkspaceRoot, type RootDirectories, rootDirectories, type WorkspaceRoot } from './choose-root.ts';
export { releaseFolderName, takeFolderName } from './folder-names.ts';
export { assertRightFolders, type FolderFindings, probeFolders } from './probe-folders.ts';
export { createRemoteWorkspace, type RemoteTransfer } from './remote-workspace.ts';
export { createSharedWorkspace, type SharedDirectories } from './shared-workspace.ts';
export type {
  JobFiles,
  LocatedFile,
  NamedFile,
  SentFile,
  StagedFile,
  WipeReport,
  Workspace,
} from './types.ts';
export { wipeFile } from './wipe-file.ts';
