// Markdown as WeCom shows it, built as nodes: no word of a message ever becomes markup by itself.

const COLOURS = new Set(["info", "comment", "warning"]);
const DEEPEST = 8;
const INLINE = new RegExp(
  [
    "`([^`\\n]+)`", // 1 code
    "!?\\[([^\\]\\n]*)\\]\\(([^()\\s]*(?:\\([^()\\s]*\\)[^()\\s]*)*)\\)", // 2 words, 3 address
    "\\*\\*([^\\n]+?)\\*\\*(?!\\*)", // 4 bold
    "__([^_\\n]+)__", // 5 bold
    "~~([^~\\n]+)~~", // 6 struck out
    "(?<![\\w*])\\*([^\\s*](?:[^*\\n]*[^\\s*])?)\\*(?![\\w*])", // 7 slanted
    "<@([^<>\\s]{1,64})>", // 8 mention
    "<font\\s+color=[\"']?(\\w+)[\"']?\\s*>([\\s\\S]*?)</font>", // 9 colour, 10 words
    "(https?:\\/\\/[^\\s<>\"'）】」，。；！？]+)", // 11 bare address
  ].join("|"),
  "g",
);

function node(tag, className = "", ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** An outside address as a link that gives nothing away; anything but http(s) stays plain words. */
export function link(address, ...children) {
  let url = null;
  try {
    url = new URL(address);
  } catch {
    // Not an address at all.
  }
  if (!url || !["http:", "https:"].includes(url.protocol)) return node("span", "no-link", ...children);
  const made = node("a", "", ...children);
  made.href = url.href;
  made.target = "_blank";
  made.rel = "noopener noreferrer nofollow";
  made.title = url.href;
  return made;
}

/** A name after an @. */
export function mention(name) {
  return node("span", "at", `@${name}`);
}

/** Return `text` as inline nodes; `nameOf(id)` tells whom `<@id>` means. */
export function inline(text, nameOf, depth = 0) {
  const made = document.createDocumentFragment();
  if (depth > DEEPEST) return made.append(text), made;
  const inner = (words) => inline(words, nameOf, depth + 1);
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, words, address, bold, bold2, struck, slanted, who, colour, coloured, bare] = match;
    made.append(text.slice(end, match.index));
    end = match.index + whole.length;
    if (code !== undefined) made.append(node("code", "", code));
    else if (address !== undefined) made.append(link(address, inner(words || address)));
    else if (bold ?? bold2) made.append(node("strong", "", inner(bold ?? bold2)));
    else if (struck !== undefined) made.append(node("s", "", inner(struck)));
    else if (slanted !== undefined) made.append(node("em", "", inner(slanted)));
    else if (who !== undefined) made.append(mention(nameOf(who)));
    else if (colour !== undefined) made.append(node("span", COLOURS.has(colour) ? `font-${colour}` : "", inner(coloured)));
    else made.append(link(bare, bare));
  }
  made.append(text.slice(end));
  return made;
}

const ITEM = /^(\s*)(?:[-*+]|\d{1,3}[.)])\s+(.*)$/;
const CELLS = /^\s*\|(.*)\|\s*$/;
const RULE = /^\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$/;

/** Return `text` as block nodes. */
export function markdown(text, nameOf, depth = 0) {
  const made = document.createDocumentFragment();
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const say = (line) => inline(line, nameOf);
  let at = 0;
  const take = (fits) => {
    const taken = [];
    while (at < lines.length && fits(lines[at])) taken.push(lines[at++]);
    return taken;
  };
  while (at < lines.length) {
    const line = lines[at];
    const heading = /^(#{1,6})\s+(.*)$/.exec(line);
    if (/^\s*```/.test(line)) {
      at += 1;
      made.append(node("pre", "", node("code", "", take((one) => !/^\s*```/.test(one)).join("\n"))));
      at += 1;
    } else if (heading) {
      at += 1;
      made.append(node("p", `h h${heading[1].length}`, say(heading[2])));
    } else if (/^\s*>/.test(line) && depth < DEEPEST) {
      const quoted = take((one) => /^\s*>/.test(one)).map((one) => one.replace(/^\s*>\s?/, ""));
      made.append(node("blockquote", "", markdown(quoted.join("\n"), nameOf, depth + 1)));
    } else if (/^\s*(?:-{3,}|\*{3,}|_{3,})\s*$/.test(line)) {
      at += 1;
      made.append(node("hr"));
    } else if (ITEM.test(line)) {
      made.append(list(take((one) => ITEM.test(one)), say));
    } else if (CELLS.test(line) && RULE.test(lines[at + 1] ?? "")) {
      made.append(table(take((one) => CELLS.test(one)), say));
    } else if (!line.trim()) {
      at += 1;
    } else {
      const plain = take((one, first = lines[at] === line) => first || isPlain(one, lines[at + 1] ?? ""));
      made.append(node("p", "", ...plain.flatMap((one, number) => (number ? [node("br"), say(one)] : [say(one)]))));
    }
  }
  return made;
}

function isPlain(line, next) {
  const starts = /^(?:#{1,6}\s|\s*>|\s*```|\s*(?:-{3,}|\*{3,}|_{3,})\s*$)/.test(line);
  return line.trim() && !starts && !ITEM.test(line) && !(CELLS.test(line) && RULE.test(next));
}

function list(lines, say) {
  const made = node(/^\s*\d/.test(lines[0]) ? "ol" : "ul");
  if (made.tagName === "OL") made.start = Number.parseInt(lines[0], 10);
  for (const line of lines) {
    const [, indent, words] = ITEM.exec(line);
    made.append(node("li", indent.length >= 2 ? "inner" : "", say(words)));
  }
  return made;
}

function table([head, , ...rows], say) {
  const cells = (line, tag) =>
    node("tr", "", ...CELLS.exec(line)[1].split("|").map((cell) => node(tag, "", say(cell.trim()))));
  return node("div", "table", node("table", "", node("thead", "", cells(head, "th")), node("tbody", "", ...rows.map((row) => cells(row, "td")))));
}
