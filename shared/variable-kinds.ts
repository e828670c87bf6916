/** How the text of environment variables becomes values: the kinds that {@link file://./environment.ts} is made of. Pure. */
import * as z from 'zod';

/** One variable. */
export interface VariableSpec<T = unknown> {
  readonly about: string;
  /** Default as shown in the documentation; the value itself is in `parse`. */
  readonly defaultText: string;
  /** Never shown in logs, errors or `--json`. */
  readonly secret?: true;
  readonly parse: z.ZodType<T, string | undefined>;
}

/** Any text. */
export const text = z.string().optional();
/** An http or https address, without a slash at its end. */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'not an http or https address' })
  .transform((url) => url.replace(/\/+$/, ''))
  .optional();

/** http is allowed to loopback only: a key must not cross a network in clear. */
export const secureUrl = httpUrl.refine((url) => url === undefined || url.startsWith('https:') || isLoopbackUrl(url), {
  error: 'must be https, or http to loopback only',
});

/** True for an address whose host is this machine. */
export function isLoopbackUrl(url: string): boolean {
  const host = URL.parse(url)?.hostname ?? '';
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** A number of seconds in text, as milliseconds. */
export function seconds(defaultSeconds: number, bounds: { min: number; max: number }) {
  return z
    .string()
    .refine((value) => /^\d+(\.\d+)?$/.test(value), 'not a number of seconds')
    .transform(Number)
    .refine(
      (value) => value >= bounds.min && value <= bounds.max,
      `must be from ${bounds.min} to ${bounds.max} seconds`,
    )
    .optional()
    .transform((value) => Math.round((value ?? defaultSeconds) * 1000));
}

/** A whole number within bounds. */
export function wholeNumber(defaultValue: number, bounds: { min: number; max: number }) {
  return z
    .string()
    .refine((value) => /^\d+$/.test(value), 'not a whole number')
    .transform(Number)
    .refine((value) => value >= bounds.min && value <= bounds.max, `must be from ${bounds.min} to ${bounds.max}`)
    .optional()
    .transform((value) => value ?? defaultValue);
}

/** One of a few words, in any case of letters. */
export function choice<const T extends readonly [string, ...string[]]>(values: T, defaultValue: T[number]) {
  return z
    .string()
    .transform((value) => value.toLowerCase())
    .pipe(z.enum(values))
    .optional()
    .transform((value): T[number] => value ?? defaultValue);
}

/** `1` or `true`, `0` or `false`, in any case of letters. */
export function flag(defaultValue: boolean) {
  return z
    .string()
    .transform((value) => value.toLowerCase())
    .pipe(z.enum(['1', '0', 'true', 'false'], { error: 'must be 1 or 0' }))
    .optional()
    .transform((value) => (value === undefined ? defaultValue : value === '1' || value === 'true'));
}

/** An absolute path. */
export const absolutePath = z
  .string()
  .refine((value) => value.startsWith('/') && !value.includes('\0'), { error: 'must be an absolute path' })
  .optional();

const unitBytes: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** A size such as `50GB`, in bytes. */
export const byteSize = z
  .string()
  .transform((value, context) => {
    const match = /^(\d+(?:\.\d+)?)\s*(MB|GB|TB|MIB|GIB|TIB)$/.exec(value.toUpperCase());
    const bytes = Math.floor(Number(match?.[1] ?? 0) * (unitBytes[match?.[2] ?? ''] ?? 0));
    if (bytes > 0) return bytes;
    context.addIssue({ code: 'custom', message: 'not a size such as 50GB or 40GiB' });
    return z.NEVER;
  })
  .optional();

/** Makes the description of a variable. */
export function variable<T>(
  about: string,
  defaultText: string,
  parse: z.ZodType<T, string | undefined>,
  secret?: true,
): VariableSpec<T> {
  return { about, defaultText, parse, ...(secret && { secret }) };
}
