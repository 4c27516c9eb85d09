// The words in which two outputs differ, side by side: <del> what only the first has, <ins> what only the second has.
const MOST_CELLS = 9_000_000; // of the table of common words; longer texts are compared sentence by sentence

function parts(text, granularity) {
  const segments = [...new Intl.Segmenter(undefined, { granularity }).segment(text)];
  return segments.map(({ segment }) => segment);
}

// Which parts of each text belong to a longest common subsequence. Equal ends are set aside first.
export function difference(first, second) {
  let one = parts(first, "word");
  let other = parts(second, "word");
  if (one.length * other.length > MOST_CELLS) [one, other] = [parts(first, "sentence"), parts(second, "sentence")];
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one.at(-1 - end) === other.at(-1 - end)) end += 1;
  const ids = new Map(); // numbers compare faster than words
  const middle = (all) => Int32Array.from(all.slice(start, all.length - end), (part) => ids.get(part) ?? (ids.set(part, ids.size), ids.size - 1));
  const shared = common(middle(one), middle(other));
  const mark = (all, kept) => all.map((text, at) => ({ text, same: at < start || at >= all.length - end || kept.has(at - start) }));
  return [mark(one, shared[0]), mark(other, shared[1])];
}

function common(one, other) {
  const width = other.length + 1;
  const table = new Uint16Array((one.length + 1) * width);
  for (let row = one.length - 1; row >= 0; row -= 1) {
    for (let column = other.length - 1; column >= 0; column -= 1) {
      const at = row * width + column;
      table[at] = one[row] === other[column] ? table[at + width + 1] + 1 : Math.max(table[at + width], table[at + 1]);
    }
  }
  const kept = [new Set(), new Set()];
  for (let row = 0, column = 0; row < one.length && column < other.length;) {
    const at = row * width + column;
    if (one[row] === other[column]) {
      kept[0].add(row++);
      kept[1].add(column++);
    } else if (table[at + width] >= table[at + 1]) row += 1;
    else column += 1;
  }
  return kept;
}

export class Comparison {
  constructor(dialog, outputs) {
    this.dialog = dialog;
    this.texts = new Map(outputs.map((output) => [output.dataset.key, output.querySelector(".output__text .as-plain")]));
    this.choices = [...dialog.querySelectorAll("select")];
    this.sides = [...dialog.querySelectorAll("[data-side]")];
    for (const choice of this.choices) choice.addEventListener("change", () => this.show());
    dialog.querySelector("[data-close-comparison]").addEventListener("click", () => dialog.close());
  }

  open(...keys) {
    this.choices.forEach((choice, side) => { choice.value = keys[side]; });
    this.show();
    this.dialog.showModal();
  }

  show() {
    const texts = this.choices.map((choice) => this.texts.get(choice.value).textContent);
    difference(...texts).forEach((marked, side) => this.fill(this.sides[side], marked, side ? "ins" : "del"));
    const same = this.dialog.querySelector("[data-same]");
    same.hidden = texts[0] !== texts[1];
  }

  fill(side, marked, tag) {
    side.replaceChildren();
    let last = null;
    for (const { text, same } of marked) {
      if (!last || last.same !== same) side.append((last = { same, node: same ? new Text() : document.createElement(tag) }).node);
      last.node.textContent += text;
    }
  }
}
