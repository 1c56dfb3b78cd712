// Text that several people change at once: what examples/editor/text.py says, in the browser.
//
// A change is a list of what happens to a text, piece by piece, from its start on: a positive number
// keeps so many characters, a negative one deletes so many, a text is inserted. What is left over
// stays. Characters are code points, as in Python; strings here count otherwise.

export function apply(text, change) {
  const letters = [...text];
  let result = "";
  let at = 0;
  for (const piece of change) {
    if (typeof piece === "string") {
      result += piece;
    } else {
      if (piece > 0) result += letters.slice(at, at + piece).join("");
      at += Math.abs(piece);
    }
  }
  return result + letters.slice(at).join("");
}

/** The change as it has to be after the other one; `first`: where both insert, it goes first. */
export function transform(change, other, first) {
  const [mine, theirs] = [[...change], [...other]];
  const result = [];
  while (mine.length) {
    if (isText(mine[0]) && (first || !isText(theirs[0]))) {
      result.push(mine.shift());
    } else if (isText(theirs[0])) {
      result.push(lengthOf(theirs.shift()));
    } else if (!theirs.length) {
      result.push(mine.shift());
    } else {
      const count = Math.min(Math.abs(mine[0]), Math.abs(theirs[0]));
      const piece = take(mine, count);
      if (take(theirs, count) > 0) result.push(piece);
    }
  }
  return tidy(result);
}

/** Where a place in the text is after a change; what is inserted right there pushes it on. */
export function moved(at, change) {
  let [result, reached] = [at, 0];
  for (const piece of change) {
    if (reached > at) break;
    if (isText(piece)) {
      result += lengthOf(piece);
    } else {
      if (piece < 0) result -= Math.min(-piece, at - reached);
      reached += Math.abs(piece);
    }
  }
  return result;
}

/** The change that makes one text of another: what lies between all that they begin and end with. */
export function difference(before, after) {
  const [old, now] = [[...before], [...after]];
  const most = Math.min(old.length, now.length);
  let [start, end] = [0, 0];
  while (start < most && old[start] === now[start]) start++;
  while (end < most - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  return tidy([start, start + end - old.length, now.slice(start, now.length - end).join("")]);
}

export function lengthOf(text) {
  return [...text].length;
}

function tidy(change) {
  const result = [];
  for (const piece of change) {
    const last = result.at(-1) ?? 0;
    if (isText(piece) && isText(last)) result[result.length - 1] += piece;
    else if (!isText(piece) && !isText(last) && piece * last > 0) result[result.length - 1] += piece;
    else if (piece) result.push(piece);
  }
  while (result.at(-1) > 0) result.pop();
  return result;
}

function isText(piece) {
  return typeof piece === "string";
}

function take(pieces, count) {
  const piece = pieces.shift();
  const taken = piece > 0 ? count : -count;
  if (piece !== taken) pieces.unshift(piece - taken);
  return taken;
}
