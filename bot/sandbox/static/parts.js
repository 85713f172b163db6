// What stands in a bubble: one message of any kind, as a phone shows it.

import { card, picture } from "./cards.js";
import { make } from "./dom.js";
import { inline, link, markdown, mention } from "./markdown.js";

const MARKDOWN = new Set(["stream", "markdown", "markdown_v2"]);
const FILES = { file: "文", voice: "音", video: "影", shortvideo: "影", music: "乐" };

/** Return the inside of a bubble. `chat` has nameOf(id), viewer (id) and press(entry, key, chosen). */
export function content(entry, chat) {
  const made = make("div", { className: `content ${entry.kind}` });
  if (entry.fields.quote) made.append(quoted(entry.fields.quote));
  made.append(...inside(entry, chat).filter(Boolean));
  return made;
}

export function quoted(quote) {
  return make("blockquote", { className: "quoted", text: quote.text || `[${quote.msgtype ?? quote.kind ?? "…"}]` });
}

function inside(entry, chat) {
  const { kind, fields } = entry;
  if (entry.side === "vendor") return [entry.text];
  if (kind === "template_card") {
    const own = entry.versions?.[chat.viewer] ?? fields;
    return [card(own, { nameOf: chat.nameOf, press: (key, chosen) => chat.press(entry, key, chosen) })];
  }
  if (entry.side === "member" && kind === "text") return [plain(entry.text, chat)];
  if (MARKDOWN.has(kind)) return [make("div", { className: "md" }, markdown(entry.text, chat.nameOf)), ...pictures(entry), writing(entry)];
  if (kind === "text") return [plain(entry.text, chat), mentions(fields.mentioned_list, chat)];
  if (kind === "news" || kind === "mpnews") return articles(fields);
  if (kind === "textcard") return [textCard(fields)];
  if (kind === "image") return [media(entry, "图片 image")];
  if (kind === "miniprogram_notice" || kind === "miniprogram" || kind === "miniprogrampage") return [miniProgram(fields)];
  if (FILES[kind]) return [file(kind, entry)];
  return [entry.text];
}

function plain(text, chat) {
  const made = make("div", { className: "plain-text" });
  for (const piece of text.split(/(<a\s[^>]*>[^<]*<\/a>|<@[^<>\s]{1,64}>|https?:\/\/[^\s<>"'）】」，。；！？]+)/)) {
    const anchor = /^<a\s[^>]*href=["']([^"']*)["'][^>]*>([^<]*)<\/a>$/.exec(piece);
    if (anchor) made.append(link(anchor[1], anchor[2]));
    else if (piece.startsWith("<@") && piece.endsWith(">")) made.append(mention(chat.nameOf(piece.slice(2, -1))));
    else if (/^https?:/.test(piece)) made.append(link(piece, piece));
    else made.append(piece);
  }
  return made;
}

function mentions(ids, chat) {
  if (!ids?.length) return null;
  const names = ids.map((id) => mention(id === "@all" ? "所有人" : chat.nameOf(id)));
  return make("div", { className: "mentions" }, ...names);
}

function writing(entry) {
  if (entry.status !== "writing") return null;
  return make("span", { className: "dots", role: "img", "aria-label": "正在输入 writing" }, make("i"), make("i"), make("i"));
}

/** Pictures that came inside a stream: the sandbox counts them and keeps no bytes. */
function pictures(entry) {
  const count = Number(entry.fields.images ?? 0);
  return count ? [make("div", { className: "pictures" }, ...Array.from({ length: count }, () => placeholder("图片 picture")))] : [];
}

const placeholder = (label) => make("span", { className: "picture", role: "img", "aria-label": label }, make("b", { text: "图" }), make("small", { text: label }));

function shot(address) {
  const made = make("img", { className: "shot", src: address, alt: "图片 picture", loading: "lazy" });
  made.addEventListener("error", () => made.replaceWith(placeholder("图片 picture")));
  return made;
}

function media(entry, label) {
  const { url, media_id: id, MediaId } = entry.fields;
  if (url) return picture(url, label);
  return make("div", {}, shot(`api/picture?entry=${entry.id}`), make("small", { className: "media-id", text: id ?? MediaId ?? "" }));
}

function file(kind, entry) {
  const { fields } = entry;
  const name = fields.filename ?? fields.file_name ?? fields.title ?? fields.Title ?? entry.text;
  const size = fields.size_bytes ?? fields.total_size;
  const detail = [size ? shownSize(size) : "", fields.media_id ?? fields.MediaId ?? ""].filter(Boolean).join(" · ");
  return make("div", { className: "file-box" }, make("b", { className: kind, text: suffix(name) || FILES[kind] }), make("span", {}, make("span", { text: name }), make("small", { text: detail })));
}

function suffix(name) {
  return /\.([A-Za-z0-9]{1,4})$/.exec(name)?.[1].toUpperCase() ?? "";
}

function shownSize(bytes) {
  return bytes < 1024 ? `${bytes} B` : bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 ** 2).toFixed(1)} MB`;
}

function articles(fields) {
  const xml = fields.Articles?.item;
  const list = fields.articles ?? (Array.isArray(xml) ? xml : xml ? [xml] : []);
  return list.map((one, number) => {
    const title = make("span", { className: "news-title", text: one.title ?? one.Title ?? "" });
    const desc = one.description ?? one.Description ?? one.digest ?? "";
    const shown = picture(one.picurl ?? one.PicUrl ?? "", "封面 cover");
    const words = make("span", { className: "news-words" }, title, desc && make("small", { text: desc }));
    const url = one.url ?? one.Url ?? "";
    return make("div", { className: number ? "news-item small" : "news-item" }, shown, url ? link(url, words) : words);
  });
}

function textCard(fields) {
  const title = make("p", { className: "card-title", text: fields.title ?? "" });
  const words = String(fields.description ?? "").replaceAll(/<br\s*\/?>/gi, "\n").replaceAll(/<[^>]*>/g, "");
  const more = fields.url ? make("p", { className: "card-jump" }, link(fields.url, `${fields.btntxt ?? "详情"} ▸`)) : null;
  return make("div", { className: "card" }, title, make("p", { className: "card-desc", text: words }), more);
}

function miniProgram(fields) {
  const rows = (fields.content_item ?? []).flatMap((row) => [make("dt", { text: row.key }), make("dd", { text: row.value })]);
  return make(
    "div",
    { className: "card mini" },
    make("p", { className: "card-title", text: fields.title ?? "" }),
    fields.description ? make("p", { className: "card-desc", text: fields.description }) : null,
    rows.length ? make("dl", {}, ...rows) : null,
    make("p", { className: "mini-foot" }, make("b", { text: "◈ " }), make("small", { text: `小程序 mini program${fields.appid ? ` · ${fields.appid}` : ""}` })),
  );
}

/** One line of an entry, for the list of chats and for quotes. */
export function summary(entry) {
  if (entry.kind === "template_card") return `[卡片] ${entry.fields.main_title?.title ?? ""}`;
  const holder = document.createElement("span");
  holder.append(inline(entry.text.replaceAll(/\s+/g, " ").slice(0, 80), (id) => id));
  return holder.textContent.replaceAll(/[#>*_`]+/g, "").trim() || entry.text;
}
