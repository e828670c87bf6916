/**
 * What a second of a running Serverless worker costs, in US dollars, by GPU. RunPod's flex prices as they were known on the date below, which is
 * all that they are: they change, and depend on the account. A profile's `price` and COMFY_RUNPOD_PRICE say what is right.
 */

/** When the table was written. */
export const pricesFrom = '2026-11-21';

/** By names as people and RunPod write them, in lower case. The more memory a class has, the further down. */
const prices: readonly { readonly gpu: RegExp; readonly usdPerSecond: number }[] = [
  { gpu: /\b(a4000|a4500|rtx 4000|rtx 2000)\b/, usdPerSecond: 0.00016 },
  { gpu: /\b(l4|a5000|rtx 3090|3090)\b/, usdPerSecond: 0.00019 },
  { gpu: /\b(rtx 4090|4090)\b/, usdPerSecond: 0.00031 },
  { gpu: /\b(rtx 5090|5090)\b/, usdPerSecond: 0.00044 },
  { gpu: /\b(a6000|a40)\b/, usdPerSecond: 0.00034 },
  { gpu: /\b(l40s?|rtx 6000 ada|6000 ada)\b/, usdPerSecond: 0.00053 },
  { gpu: /\ba100\b/, usdPerSecond: 0.00076 },
  { gpu: /\bh100\b/, usdPerSecond: 0.00116 },
  { gpu: /\bh200\b/, usdPerSecond: 0.00155 },
  { gpu: /\bb200\b/, usdPerSecond: 0.0024 },
];

/** The price of a GPU by its name, or undefined for one that the table lacks. */
export function gpuPrice(name: string): number | undefined {
  const wanted = name.toLowerCase().replaceAll(/[_-]+/g, ' ');
  return prices.find(({ gpu }) => gpu.test(wanted))?.usdPerSecond;
}
