/**
 * Takes `<metadata>` elements and comments out of an SVG. `SaveSVGNode` puts the prompt into the former, even when ComfyUI's metadata is
 * switched off (ComfyUI protocol notes §3.5). A scanner and not a parser: everything else stays byte for byte.
 */
import { type MetadataEdit, type Planning, readAt, removal } from './edit-plan.ts';

const maxBytes = 64 * 1024 * 1024;

/** Constructs with an end mark of their own, in which `<` and `>` mean nothing. */
const opaque: readonly { readonly open: string; readonly close: string }[] = [
  { open: '<!--', close: '-->' },
  { open: '<![CDATA[', close: ']]>' },
  { open: '<?', close: '?>' },
];

/** Plans an SVG in UTF-8 or another superset of ASCII. */
export function* planSvg(size: number): Planning {
  if (size > maxBytes) return undefined;
  // One character per byte, so that places in the text are places in the file.
  const text = (yield* readAt(0, size)).toString('latin1');
  const edits: MetadataEdit[] = [];
  let hasRoot = false;
  /** Open metadata elements, and where the outermost began. */
  let depth = 0;
  let began = 0;
  for (let at = text.indexOf('<'); at !== -1; ) {
    const mark = opaque.find(({ open }) => text.startsWith(open, at));
    const end = mark ? endOf(text, mark.close, at + mark.open.length) : endOfTag(text, at);
    if (end === undefined) return undefined;
    if (mark?.open === '<!--' && depth === 0) edits.push(removal(at, end));
    if (!mark) {
      const name = localName(text, at);
      hasRoot ||= name === 'svg';
      if (name === 'metadata' && text[end - 2] === '/') {
        if (depth === 0) edits.push(removal(at, end));
      } else if (name === 'metadata') {
        if (depth++ === 0) began = at;
      } else if (name === '/metadata') {
        if (--depth < 0) return undefined;
        if (depth === 0) edits.push(removal(began, end));
      }
    }
    at = text.indexOf('<', end);
  }
  return hasRoot && depth === 0 ? edits : undefined;
}

function endOf(text: string, close: string, from: number): number | undefined {
  const at = text.indexOf(close, from);
  return at === -1 ? undefined : at + close.length;
}

/** Behind the `>` of a tag; quoted values may hold one. A document type with entities of its own is not understood. */
function endOfTag(text: string, start: number): number | undefined {
  const special = /["'>[]/g;
  for (special.lastIndex = start; ; ) {
    const found = special.exec(text);
    if (!found) return undefined;
    if (found[0] === '>') return special.lastIndex;
    if (found[0] === '[') {
      if (text.startsWith('<!', start)) return undefined;
      continue;
    }
    const close = text.indexOf(found[0], special.lastIndex);
    if (close === -1) return undefined;
    special.lastIndex = close + 1;
  }
}

/** Name of a tag without its prefix; `/` before it for an end tag. */
function localName(text: string, at: number): string {
  const name = /^<(\/?)(?:[^\s/>:]{1,100}:)?([^\s/>:]{1,100})/.exec(text.slice(at, at + 210));
  return name ? `${name[1] ?? ''}${name[2] ?? ''}` : '';
}
