// Template cards of all five types, with the buttons and questions a person can answer.

import { button, make } from "./dom.js";
import { link } from "./markdown.js";

const COLOURS = ["", "", "alert", "good"]; // desc_color 0 grey, 1 black, 2 red, 3 green

const words = (className, text) => (text ? make("p", { className, text }) : null);

/** An outside picture is not loaded: the sandbox talks to nobody. Its place and its address are shown. */
export function picture(address, label) {
  if (!address) return null;
  const shown = make("span", { className: "picture", role: "img", "aria-label": label }, make("b", { text: "图" }), make("small", { text: label }));
  return link(address, shown);
}

/**
 * Return a card as one person sees it. `press(key, chosen)` is called with the key of a button and the
 * options chosen, {question_key: [option ids]}.
 */
export function card(fields, { nameOf, press }) {
  const questions = new Map(); // question key → () → option ids
  const made = make("div", { className: `card ${fields.card_type ?? ""}` }, ...head(fields), ...body(fields, nameOf));
  for (const node of asked(fields, questions)) made.append(node);
  const chosen = () => Object.fromEntries([...questions].map(([key, read]) => [key, read()]).filter(([, ids]) => ids.length));
  const buttons = pressed(fields, (key, one) => {
    one.setAttribute("aria-busy", "true");
    press(key, chosen()).finally(() => one.removeAttribute("aria-busy"));
  });
  if (buttons.length) made.append(make("div", { className: "card-buttons" }, ...buttons));
  made.append(...jumps(fields));
  return made;
}

function head(fields) {
  const { source, main_title: title, emphasis_content: emphasis } = fields;
  const desc = make("span", { className: `card-source ${COLOURS[source?.desc_color ?? 0] ?? ""}`, text: source?.desc ?? "" });
  const picture_of = fields.card_image?.url ? picture(fields.card_image.url, "配图 picture") : null;
  return [
    source?.desc ? desc : null,
    picture_of && make("div", { className: "card-image" }, picture_of),
    words("card-title", title?.title),
    words("card-desc", title?.desc),
    emphasis && make("div", { className: "card-emphasis" }, words("big", emphasis.title), words("card-desc", emphasis.desc)),
  ];
}

function body(fields, nameOf) {
  const { quote_area: quote, image_text_area: area } = fields;
  const rows = (fields.horizontal_content_list ?? []).map((row) => [
    make("dt", { text: row.keyname ?? "" }),
    make("dd", {}, value(row, nameOf)),
  ]);
  return [
    quote && make("blockquote", {}, words("card-key", quote.title), quote.url ? link(quote.url, quote.quote_text ?? "") : (quote.quote_text ?? "")),
    area && make("div", { className: "card-area" }, picture(area.image_url, "图 picture"), make("div", {}, words("card-key", area.title), words("card-desc", area.desc))),
    ...(fields.vertical_content_list ?? []).map((one) => make("div", { className: "card-item" }, words("card-key", one.title), words("card-desc", one.desc))),
    words("card-sub", fields.sub_title_text),
    rows.length ? make("dl", {}, ...rows.flat()) : null,
  ];
}

function value(row, nameOf) {
  if (row.type === 1 && row.url) return link(row.url, row.value || row.url);
  if (row.type === 3 && row.userid) return make("span", { className: "at", text: `@${nameOf(row.userid)}` });
  if (row.type === 2) return `附件 ${row.value ?? row.media_id ?? ""}`;
  return row.value ?? "";
}

/** Questions: one choice (`select_list`, `button_selection`) as lists, `checkbox` as boxes or rounds. */
function* asked(fields, questions) {
  const lists = [...(fields.select_list ?? []), ...(fields.button_selection ? [fields.button_selection] : [])];
  for (const one of lists) {
    const select = make("select", { disabled: Boolean(one.disable) });
    if (!one.selected_id) select.append(make("option", { value: "", text: "请选择 choose" }));
    for (const option of one.option_list ?? []) {
      select.append(make("option", { value: option.id, text: option.text, selected: option.id === one.selected_id }));
    }
    questions.set(one.question_key, () => (select.value ? [select.value] : []));
    yield make("label", { className: "card-question" }, make("span", { text: one.title ?? one.question_key }), select);
  }
  if (fields.checkbox) yield boxes(fields.checkbox, questions);
}

function boxes(box, questions) {
  const type = Number(box.mode ?? 0) === 1 ? "checkbox" : "radio";
  const name = `q${Math.random().toString(36).slice(2)}`;
  const inputs = (box.option_list ?? []).map((option) => {
    const input = make("input", { type, name, value: option.id, checked: Boolean(option.is_checked), disabled: Boolean(box.disable) });
    return [input, make("label", { className: "card-option" }, input, make("span", { text: option.text }))];
  });
  questions.set(box.question_key, () => inputs.filter(([input]) => input.checked).map(([input]) => input.value));
  const legend = make("legend", { text: type === "radio" ? "单选 choose one" : "多选 choose any" });
  return make("fieldset", { className: "card-question" }, legend, ...inputs.map(([, label]) => label));
}

/** Buttons that call back. One whose text was replaced by an update can be pressed no more. */
function pressed(fields, press) {
  const replaced = fields.replace_text ?? "";
  const buttons = (fields.button_list ?? []).map((one) => {
    if (one.type === 1 && one.url) return link(one.url, make("span", { className: "card-button", text: one.text }));
    const style = Number(one.style ?? 1);
    const words_of = one.replace_text ?? (replaced || one.text);
    const done = Boolean(one.replace_text ?? replaced);
    const made = button(`card-button style${style}`, words_of ?? "", "", () => press(one.key, made), { disabled: done, "data-key": one.key });
    return made;
  });
  const submit = fields.submit_button;
  if (submit) {
    const done = Boolean(replaced || fields.checkbox?.disable);
    const made = button("card-button style1", replaced || submit.text || "提交", "", () => press(submit.key, made), { disabled: done, "data-key": submit.key });
    buttons.push(made);
  }
  return buttons;
}

function jumps(fields) {
  const list = (fields.jump_list ?? []).map((one) => (one.url ? link(one.url, one.title ?? one.url) : make("span", { text: `${one.title ?? ""} ▸` })));
  const whole = fields.card_action?.url ? [link(fields.card_action.url, "查看详情 open")] : [];
  return [...list, ...whole].map((one) => make("p", { className: "card-jump" }, one));
}
