/** What a running worker tells whoever looks inside. */
export { startInspectServer } from './inspect-server.ts';
export { JobJournal } from './job-journal.ts';
