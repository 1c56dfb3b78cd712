// As much of MessagePack as the game speaks: github.com/msgpack/msgpack/blob/master/spec.md

export function decode(buffer) {
  const view = new DataView(buffer);
  let next = 0;
  const skip = (size) => { next += size; return next - size; };
  const uint8 = () => view.getUint8(skip(1));
  const uint16 = () => view.getUint16(skip(2));
  const text = (size) => new TextDecoder().decode(new Uint8Array(buffer, skip(size), size));
  const array = (size) => Array.from({ length: size }, value);
  // Entries, since a key may be named like anything.
  const map = (size) => Object.fromEntries(Array.from({ length: size }, () => [value(), value()]));

  function value() {
    const kind = uint8();
    if (kind < 0x80) return kind;
    if (kind < 0x90) return map(kind & 0x0f);
    if (kind < 0xa0) return array(kind & 0x0f);
    if (kind < 0xc0) return text(kind & 0x1f);
    switch (kind) {
      case 0xc0: return null;
      case 0xcb: return view.getFloat64(skip(8));
      case 0xcc: return uint8();
      case 0xcd: return uint16();
      case 0xd9: return text(uint8());
      case 0xda: return text(uint16());
      default: throw new TypeError(`there is no ${kind.toString(16)} in what the game says`);
    }
  }

  return value();
}

/** Encode short names with short texts or numbers: `{ type: "Move", dx: 0.5, dy: 0 }`. */
export function encode(message) {
  const entries = Object.entries(message);
  const number = (value) => {
    const view = new DataView(new ArrayBuffer(9));
    view.setUint8(0, 0xcb);
    view.setFloat64(1, value);
    return new Uint8Array(view.buffer);
  };
  const text = (value) => {
    const bytes = new TextEncoder().encode(value);
    return [0xa0 | bytes.length, ...bytes];
  };
  const value = (value) => typeof value === "number" ? number(value) : text(value);
  return Uint8Array.from([
    0x80 | entries.length,
    ...entries.flatMap(([key, each]) => [...text(key), ...value(each)]),
  ]);
}
