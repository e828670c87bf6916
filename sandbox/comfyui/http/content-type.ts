// Content types guessed from file names, as Python's mimetypes does for what ComfyUI serves (ComfyUI protocol notes §1.9).

const BY_EXTENSION: Readonly<Record<string, string>> = {
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.gif': 'image/gif',
  '.webp': 'image/webp',
  '.bmp': 'image/bmp',
  '.tif': 'image/tiff',
  '.tiff': 'image/tiff',
  '.svg': 'image/svg+xml',
  '.avif': 'image/avif',
  '.ico': 'image/vnd.microsoft.icon',
  '.mp4': 'video/mp4',
  '.webm': 'video/webm',
  '.mov': 'video/quicktime',
  '.avi': 'video/x-msvideo',
  '.mkv': 'video/x-matroska',
  '.mp3': 'audio/mpeg',
  '.wav': 'audio/x-wav',
  '.flac': 'audio/x-flac',
  '.ogg': 'audio/ogg',
  '.opus': 'audio/opus',
  '.m4a': 'audio/mp4',
  '.glb': 'model/gltf-binary',
  '.txt': 'text/plain',
  '.csv': 'text/csv',
  '.md': 'text/markdown',
  '.html': 'text/html',
  '.htm': 'text/html',
  '.xhtml': 'application/xhtml+xml',
  '.js': 'application/javascript; charset=utf-8',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.xml': 'text/xml',
  '.pdf': 'application/pdf',
  '.zip': 'application/zip',
};

const ACTIVE = new Set(['text/html', 'text/html-sandboxed', 'application/xhtml+xml', 'text/javascript', 'text/css']);
const ACTIVE_MODERN = new Set([...ACTIVE, 'image/svg+xml', 'text/xml', 'application/xml']);

/** The guessed type; unknown ones are `application/octet-stream`. */
export function guessContentType(filename: string): string {
  const dot = filename.lastIndexOf('.');
  const extension = dot <= 0 ? '' : filename.slice(dot).toLowerCase();
  return BY_EXTENSION[extension] ?? 'application/octet-stream';
}

/** Whether a browser would run or render it as a page; `modern` servers count SVG and XML too. */
export function isActiveContent(type: string, modern: boolean): boolean {
  const bare = type.split(';')[0] ?? '';
  return (modern ? ACTIVE_MODERN : ACTIVE).has(bare) || (modern && bare === 'application/javascript');
}
