/** `%date:…%` and `%Node.widget%` in file prefixes, as the editor replaces them when it queues. Source: ComfyUI protocol notes §3.10 step 6. */

/** Finds the value of a widget by the node's name and the widget's; undefined when there is none. */
export type FindWidgetValue = (node: string, widget: string) => unknown;

const parts: Readonly<Record<string, (date: Date) => number>> = {
  d: (date) => date.getDate(),
  M: (date) => date.getMonth() + 1,
  h: (date) => date.getHours(),
  m: (date) => date.getMinutes(),
  s: (date) => date.getSeconds(),
};

/** Formats a date by a pattern of `yyyy yy M MM d dd h hh m mm s ss`, local time. */
export function formatDate(pattern: string, date: Date): string {
  return pattern.replace(/dd?|MM?|hh?|mm?|ss?|yyyy|yy/g, (token) => {
    if (token === 'yyyy') return String(date.getFullYear());
    if (token === 'yy') return String(date.getFullYear()).slice(2);
    return String(parts[token[0] ?? '']?.(date) ?? token).padStart(token.length, '0');
  });
}

/** Replaces the placeholders that the editor knows. Others (`%width%`) are the server's and stay. */
export function replacePlaceholders(text: string, find: FindWidgetValue, now: () => Date): string {
  return text.replace(/%([^%]{1,200})%/g, (whole, inner: string) => {
    const [node = '', widget, more] = inner.split('.');
    if (widget === undefined || more !== undefined) {
      return node.startsWith('date:') ? formatDate(node.slice('date:'.length), now()) : whole;
    }
    const value = find(node, widget);
    if (value === undefined) return whole;
    const shown = typeof value === 'object' ? JSON.stringify(value) : String(value as string | number | boolean);
    // Characters that no file name may hold.
    return shown.replace(/[/?<>\\:*|"\p{Cc}]/gu, '_');
  });
}
