// A binary min-heap laid out and sifted like Python's heapq, because `/queue` shows the array as it lies and because ties
// fail at the moment two equal entries are compared (ComfyUI protocol notes §1.3.1, §1.4).
// Invariant: an exception of the comparison leaves the entry appended, as Python does.

/** `heapq` over an array of its own. */
export class BinaryHeap<T> {
  private items: T[] = [];
  private readonly isBefore: (a: T, b: T) => boolean;

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.isBefore = isBefore;
  }

  get size(): number {
    return this.items.length;
  }

  /** The entries in heap order. */
  entries(): readonly T[] {
    return this.items;
  }

  push(item: T): void {
    this.items.push(item);
    this.moveUp(0, this.items.length - 1);
  }

  pop(): T | undefined {
    const last = this.items.pop();
    const first = this.items[0];
    if (last === undefined || first === undefined) return last;
    this.items[0] = last;
    this.sinkFrom(0);
    return first;
  }

  clear(): void {
    this.items = [];
  }

  /** Removes the first entry that matches, then rebuilds the heap. Tells whether there was one. */
  remove(matches: (item: T) => boolean): boolean {
    const index = this.items.findIndex(matches);
    if (index === -1) return false;
    this.items.splice(index, 1);
    for (let at = Math.floor(this.items.length / 2) - 1; at >= 0; at -= 1) this.sinkFrom(at);
    return true;
  }

  private moveUp(top: number, from: number): void {
    let at = from;
    while (at > top) {
      const parentAt = (at - 1) >> 1;
      const [item, parent] = [this.items[at], this.items[parentAt]];
      if (item === undefined || parent === undefined || !this.isBefore(item, parent)) return;
      this.swap(at, parentAt);
      at = parentAt;
    }
  }

  /** heapq's way down: always to a leaf along the smaller children, then up again. */
  private sinkFrom(top: number): void {
    let at = top;
    for (;;) {
      let childAt = 2 * at + 1;
      const child = this.items[childAt];
      if (child === undefined) break;
      const right = this.items[childAt + 1];
      if (right !== undefined && !this.isBefore(child, right)) childAt += 1;
      this.swap(at, childAt);
      at = childAt;
    }
    this.moveUp(top, at);
  }

  /** Entries change places one step at a time, so that a failing comparison loses none. */
  private swap(a: number, b: number): void {
    const [left, right] = [this.items[a], this.items[b]];
    if (left === undefined || right === undefined) return;
    this.items[a] = right;
    this.items[b] = left;
  }
}
