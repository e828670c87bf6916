// Which file names LoadImage lists: those whose extension Python's `mimetypes` calls an image.

const imageExtensions: ReadonlySet<string> = new Set(
  (
    'avif bmp gif heic heif ico ief jpe jpeg jpg jp2 jpm jpx jxl pbm pgm pict pic pct png pnm ppm ras rgb svg svgz ' +
    'tif tiff webp xbm xpm xwd psd djvu djv'
  ).split(' '),
);

/** True for names like `a.PNG`. */
export function hasImageExtension(name: string): boolean {
  const dot = name.lastIndexOf('.');
  return dot > 0 && imageExtensions.has(name.slice(dot + 1).toLowerCase());
}
