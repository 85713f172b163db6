// The sandbox's chat page: channels, their groups and direct chats, each shown as a phone shows it.

import { avatar, botAvatar, button, byId, groupAvatar, make, send } from "./dom.js";
import { showClock, wireFaults } from "./faults.js";
import { content, summary } from "./parts.js";

const QUICK = [
  { label: "关注", small: "follow", event: "subscribe", kinds: ["wecom_app", "wechat_oa"] },
  { label: "进入应用", small: "enter", event: "enter_agent", kinds: ["wecom_app"] },
  { label: "打开会话", small: "open", event: "enter_chat", kinds: ["wecom_aibot"], direct: true },
  { label: "签到", small: "check in", text: "签到" },
  { label: "积分", small: "points", text: "积分" },
  { label: "排行", small: "ranking", text: "排行" },
  { label: "帮助", small: "help", text: "帮助" },
];
const KINDS = {
  wecom_app: ["企业微信应用", "WeCom app"],
  wechat_oa: ["公众号", "Official Account"],
  wecom_aibot: ["智能机器人", "AI bot"],
  wecom_robot: ["群机器人", "group robot"],
};
const MODES = { callback: "回调 callback", long_connection: "长连接 long connection" };
const WIDE_COLUMNS = 3;
const KEPT_LINES = 200;
const LONG_PRESS_MS = 500;
const FAILED = new Set(["dropped", "duplicate", "unfinished"]);

const page = {
  channels: new Map(), // name → {name, kind, mode, bot_name, members: Map, groups: Map, entries: Map}
  channel: "",
  shown: new Map(), // channel → keys of the chats that are open, in order
  current: "", // the chat a phone shows
  unseen: new Set(), // "channel/key" with news while not shown
  speaker: new Map(), // "channel/key" of a group → id of who speaks
  quote: new Map(), // "channel/key" → entry that the next message quotes
  judged: new Map(), // id of an answer → 1 accurate, 2 inaccurate, as given here
  silent: new Set(), // "channel/key" of groups where the next message does not mention the bot
};

const channel = () => page.channels.get(page.channel);
const shown = () => page.shown.get(page.channel) ?? [];
const groupKey = (id) => `g:${id}`;
const directKey = (id) => `d:${id}`;
const keyOf = (entry) => (entry.group_id ? groupKey(entry.group_id) : directKey(entry.user_id));
const full = (key, name = page.channel) => `${name}/${key}`;
const isPhone = () => matchMedia("(max-width: 720px)").matches;
const columnOf = (key) => document.querySelector(`.phone[data-chat="${CSS.escape(key)}"]`);
const hearsGroups = (home) => home.kind === "wecom_aibot";
const nameOf = (id, home = channel()) => home?.members.get(id)?.name ?? id;

/** A chat by its key: {key, id, isGroup, name, people}. */
function chatOf(key, home = channel()) {
  const id = key.slice(2);
  if (key.startsWith("d:")) {
    const person = home.members.get(id);
    return person && { key, id, isGroup: false, name: person.name, people: [person] };
  }
  const group = home.groups.get(id);
  const people = group?.members.map((one) => home.members.get(one)).filter(Boolean);
  return group && { key, id, isGroup: true, name: group.name, people, group };
}

function chatKeys(home) {
  const groups = [...home.groups.keys()].map(groupKey);
  const people = home.kind === "wecom_robot" ? [] : [...home.members.keys()].map(directKey);
  return [...groups, ...people];
}

function usualChats(home) {
  const groups = [...home.groups.keys()].map(groupKey);
  if (hearsGroups(home) || home.kind === "wecom_robot") return groups.slice(0, 1);
  return [...home.members.keys()].slice(0, WIDE_COLUMNS).map(directKey);
}

// ---------------------------------------------------------------- what the server tells

function takeSnapshot({ channels, clock_offset_ms: offset }) {
  showClock(offset ?? 0);
  page.channels = new Map(
    channels.map((one) => [
      one.name,
      {
        ...one,
        members: new Map(one.members.map((person) => [person.id, person])),
        groups: new Map((one.groups ?? []).map((group) => [group.id, group])),
        entries: new Map(one.entries.map((entry) => [entry.id, entry])),
      },
    ]),
  );
  for (const one of page.channels.values()) {
    const known = (page.shown.get(one.name) ?? []).filter((key) => chatOf(key, one));
    const usual = usualChats(one);
    page.shown.set(one.name, known.length ? known : usual.length ? usual : chatKeys(one).slice(0, 1));
  }
  if (!page.channels.has(page.channel)) {
    const first = channels.find((one) => hearsGroups(one)) ?? channels[0];
    page.channel = first?.name ?? "";
  }
  if (!shown().includes(page.current)) page.current = shown()[0] ?? "";
  draw();
}

function takeEntry(entry) {
  const home = page.channels.get(entry.channel);
  if (!home) return;
  home.entries.set(entry.id, entry);
  const key = keyOf(entry);
  const isHere = entry.channel === page.channel;
  const column = isHere ? columnOf(key) : null;
  if (column) drawLine(column, entry, true);
  const isSeen = column && (!isPhone() || page.current === key);
  if (!isSeen && entry.side !== "member") {
    page.unseen.add(full(key, entry.channel));
    drawChannels();
  }
  if (isHere) drawChats();
}

function takeMember({ channel: name, member }) {
  page.channels.get(name)?.members.set(member.id, member);
  if (name === page.channel) drawChats();
}

function takeGroup({ channel: name, group }) {
  const home = page.channels.get(name);
  if (!home) return;
  home.groups.set(group.id, group);
  if (name !== page.channel) return;
  drawChats();
  if (shown().includes(groupKey(group.id))) drawColumns();
}

function listen() {
  const source = new EventSource("api/stream");
  const on = (name, take) => source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  on("snapshot", (data) => {
    setLive("live", "已连接", "live");
    takeSnapshot(data);
  });
  on("entry", takeEntry);
  on("member", takeMember);
  on("group", takeGroup);
  on("clock", ({ clock_offset_ms: offset }) => showClock(offset));
  source.onerror = () => {
    setLive("lost", "连接断开，重试中", "reconnecting");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

function setLive(state, text, small) {
  const live = byId("live");
  live.dataset.state = state;
  live.replaceChildren(`${text} `, make("small", { text: small }));
}

// ---------------------------------------------------------------- channels and chats

function draw() {
  drawChannels();
  drawChats();
  drawColumns();
}

function hasNews(name) {
  return [...page.unseen].some((one) => one.startsWith(`${name}/`));
}

const news = () => make("span", { className: "new", text: "●", title: "新消息 new", role: "img", "aria-label": "新消息 new" });

function drawChannels() {
  const focused = document.activeElement?.closest?.("#channels [data-channel]")?.dataset.channel;
  const items = [...page.channels.values()].map((one) => {
    const [label, small] = KINDS[one.kind] ?? [one.kind, ""];
    const isOn = one.name === page.channel;
    const about = [one.name, MODES[one.mode] ?? small].filter(Boolean).join(" · ");
    const made = make(
      "button",
      { type: "button", className: "channel", "data-channel": one.name, "aria-pressed": String(isOn), "aria-label": `${one.name} · ${small}` },
      make("span", { className: "channel-name", text: label }),
      make("small", { text: about }),
    );
    if (!isOn && hasNews(one.name)) made.append(news());
    made.addEventListener("click", () => chooseChannel(one.name));
    return make("li", {}, made);
  });
  byId("channels").replaceChildren(...items);
  if (isPhone()) byId("channels").querySelector('[aria-pressed="true"]')?.scrollIntoView({ inline: "center", block: "nearest" });
  if (focused) byId("channels").querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
}

function drawChats() {
  const home = channel();
  const focused = document.activeElement?.closest?.("#chats [data-chat]")?.dataset.chat;
  const last = new Map();
  for (const entry of home?.entries.values() ?? []) if (entry.kind !== "event") last.set(keyOf(entry), entry);
  const items = (home ? chatKeys(home) : []).map((key) => make("li", {}, chatItem(chatOf(key), last.get(key))));
  byId("chats").replaceChildren(...items);
  byId("add").hidden = !home;
  byId("add-group").hidden = !home || home.kind === "wechat_oa";
  if (focused) byId("chats").querySelector(`[data-chat="${CSS.escape(focused)}"]`)?.focus();
}

function chatItem(chat, entry) {
  const isOn = isPhone() ? chat.key === page.current : shown().includes(chat.key);
  const title = make("span", { className: "chat-title", text: chat.name });
  if (chat.isGroup) title.append(make("small", { text: ` (${chat.people.length})` }));
  const line = entry ? `${speakerOf(entry)}${summary(entry)}` : chat.isGroup ? "群聊 group" : chat.id;
  const made = make(
    "button",
    { type: "button", className: "chat-item", "data-chat": chat.key, "data-id": chat.id, "aria-pressed": String(isOn) },
    chat.isGroup ? groupAvatar(chat.people) : avatar(chat.people[0]),
    make("span", { className: "chat-words" }, title, make("small", { className: "chat-last", text: line })),
  );
  if (page.unseen.has(full(chat.key))) made.append(news());
  made.addEventListener("click", () => chooseChat(chat.key));
  return made;
}

function speakerOf(entry) {
  if (entry.side !== "member" || !entry.group_id) return "";
  return `${nameOf(entry.user_id)}: `;
}

function chooseChannel(name) {
  page.channel = name;
  if (!shown().includes(page.current)) page.current = shown()[0] ?? "";
  for (const key of isPhone() ? [page.current] : shown()) page.unseen.delete(full(key));
  draw();
  document.querySelector('#channels [aria-pressed="true"]')?.focus();
}

function chooseChat(key) {
  page.unseen.delete(full(key));
  const columns = shown();
  if (isPhone()) {
    page.current = key;
    if (!columns.includes(key)) page.shown.set(page.channel, [...columns, key]);
  } else {
    page.shown.set(page.channel, columns.includes(key) ? columns.filter((one) => one !== key) : [...columns, key]);
    page.current = shown().includes(key) ? key : (shown()[0] ?? "");
  }
  drawChannels();
  drawChats();
  drawColumns();
  columnOf(key)?.scrollIntoView({ inline: "nearest", block: "nearest" });
}

// ---------------------------------------------------------------- columns

function drawColumns() {
  const drafts = new Map(
    [...document.querySelectorAll(".phone")].map((node) => [node.dataset.key, node.querySelector("textarea").value]),
  );
  const active = document.activeElement;
  const focused = active?.matches?.(".compose textarea") ? active.closest(".phone").dataset.key : "";
  const [from, to] = focused ? [active.selectionStart, active.selectionEnd] : [0, 0];
  const columns = shown().map((key) => makeColumn(chatOf(key)));
  for (const column of columns) column.querySelector("textarea").value = drafts.get(column.dataset.key) ?? "";
  if (!page.channels.size) {
    columns.push(make("p", { className: "empty", text: "没有可用的渠道，请在 config.yaml 里配置。No channel is configured." }));
  } else if (!columns.length) {
    columns.push(make("p", { className: "empty", text: "选一个聊天 · choose a chat" }));
  }
  byId("columns").replaceChildren(...columns);
  for (const column of document.querySelectorAll(".phone")) toEnd(column.querySelector(".log"));
  if (!focused) return;
  const again = document.querySelector(`[data-key="${CSS.escape(focused)}"] textarea`);
  again?.focus();
  again?.setSelectionRange(from, to);
}

function makeColumn(chat) {
  const column = byId("column-template").content.cloneNode(true).firstElementChild;
  column.dataset.chat = chat.key;
  column.dataset.id = chat.id;
  column.dataset.key = full(chat.key);
  column.classList.toggle("current", chat.key === page.current);
  column.classList.toggle("group", chat.isGroup);
  column.setAttribute("aria-label", `${chat.name} 的聊天 chat`);
  column.querySelector(".avatar").replaceWith(chat.isGroup ? groupAvatar(chat.people) : avatar(chat.people[0]));
  column.querySelector(".name").textContent = chat.isGroup ? `${chat.name} (${chat.people.length})` : chat.name;
  column.querySelector(".id").textContent = chat.id;
  const close = column.querySelector(".close");
  close.setAttribute("aria-label", `收起 ${chat.name} close`);
  close.addEventListener("click", () => {
    chooseChat(chat.key);
    byId("chats").querySelector(`[data-chat="${CSS.escape(chat.key)}"]`)?.focus();
  });
  if (chat.isGroup) {
    const edit = column.querySelector(".edit");
    edit.hidden = false;
    edit.addEventListener("click", () => openGroupDialog(chat.group));
  }
  column.querySelector(".log").setAttribute("aria-label", `${chat.name} 的消息 messages`);
  drawLog(column, chat);
  wireQuoting(column, chat);
  drawSpeakers(column, chat);
  drawQuick(column, chat);
  wireCompose(column, chat);
  return column;
}

function drawLog(column, chat) {
  column.querySelector(".log").replaceChildren();
  for (const entry of channel().entries.values()) if (keyOf(entry) === chat.key) drawLine(column, entry, false);
}

/** Who speaks in a chat: its person, or the one chosen among a group's members. */
function speakerIn(chat) {
  if (!chat.isGroup) return chat.id;
  const chosen = page.speaker.get(full(chat.key));
  return chat.people.some((one) => one.id === chosen) ? chosen : (chat.people[0]?.id ?? "");
}

function drawSpeakers(column, chat) {
  const row = column.querySelector(".speakers");
  const canSpeak = chat.isGroup && hearsGroups(channel());
  row.hidden = !canSpeak;
  column.querySelector(".compose").hidden = chat.isGroup && !canSpeak;
  if (!canSpeak) return;
  const home = page.channel;
  row.setAttribute("aria-label", "以谁的身份说 speak as");
  const chosen = speakerIn(chat);
  const choices = chat.people.map((person) => {
    const isOn = person.id === chosen;
    const made = make(
      "button",
      { type: "button", role: "radio", className: "speaker", "data-id": person.id, "aria-checked": String(isOn), tabindex: isOn ? "0" : "-1", title: person.id },
      avatar(person),
      make("span", { text: person.name }),
    );
    made.addEventListener("click", () => speakAs(column, chat, person.id, home));
    return made;
  });
  row.replaceChildren(...choices);
  row.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = chat.people.findIndex((one) => one.id === speakerIn(chat));
    const next = chat.people[(at + step + chat.people.length) % chat.people.length];
    speakAs(column, chat, next.id, home);
    row.querySelector('[aria-checked="true"]').focus();
  };
}

function speakAs(column, chat, id, home) {
  page.speaker.set(full(chat.key, home), id);
  drawSpeakers(column, chat);
  const log = column.querySelector(".log");
  const isAtEnd = atEnd(log);
  drawLog(column, chat);
  if (isAtEnd) toEnd(log);
  column.querySelector("textarea").setAttribute("aria-label", speakLabel(chat));
}

const speakLabel = (chat) => `以 ${nameOf(speakerIn(chat))} 的身份说 say as ${nameOf(speakerIn(chat))}`;

function drawQuick(column, chat) {
  const home = channel();
  const row = column.querySelector(".quick");
  row.setAttribute("aria-label", "快捷操作 quick actions");
  row.hidden = chat.isGroup && !hearsGroups(home);
  for (const { label, small, kinds, direct, ...act } of QUICK) {
    if ((kinds && !kinds.includes(home.kind)) || (chat.isGroup && (direct || act.event))) continue;
    const made = button("", label, small, () => speak(column, chat, act.text ? { ...act, mention: true } : act), { title: small });
    row.append(made);
  }
  if (chat.isGroup && !hearsGroups(home)) {
    column.querySelector(".dock").append(make("p", { className: "hint", text: "机器人只能往这个群里发消息，听不到群里的话。The bot can only send here." }));
  }
}

// ---------------------------------------------------------------- speaking

function wireQuoting(column, chat) {
  const line = column.querySelector(".quoting");
  line.querySelector("button").addEventListener("click", () => setQuote(column, chat, null));
  setQuote(column, chat, page.quote.get(full(chat.key)) ?? null, false);
}

function setQuote(column, chat, entry, takeFocus = true) {
  const line = column.querySelector(".quoting");
  line.hidden = !entry;
  if (entry) page.quote.set(full(chat.key), entry);
  else page.quote.delete(full(chat.key));
  const name = entry && (entry.side === "bot" ? channel().bot_name : nameOf(entry.user_id));
  line.querySelector("span").textContent = entry ? `引用 quote · ${name}：${summary(entry)}` : "";
  if (takeFocus) column.querySelector("textarea").focus();
}

function wireCompose(column, chat) {
  const form = column.querySelector(".compose");
  const field = form.querySelector("textarea");
  const name = channel().bot_name ?? "机器人";
  field.setAttribute("aria-label", speakLabel(chat));
  const toggle = form.querySelector(".mention");
  const canMention = chat.isGroup && hearsGroups(channel());
  toggle.hidden = !canMention;
  toggle.textContent = `@${name}`;
  toggle.title = "只有 @机器人 的消息它才看得到 the bot hears only messages that mention it";
  const setMention = (isOn) => {
    const key = full(chat.key);
    if (isOn) page.silent.delete(key);
    else page.silent.add(key);
    toggle.setAttribute("aria-pressed", String(isOn));
  };
  setMention(!page.silent.has(full(chat.key)));
  toggle.addEventListener("click", () => {
    setMention(toggle.getAttribute("aria-pressed") !== "true");
    field.focus();
  });
  const suggest = canMention ? wireSuggest(column, chat, name, setMention) : null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = field.value;
    let text = typed.trim();
    const isNamed = canMention && text.startsWith(`@${name}`);
    if (isNamed) text = text.slice(name.length + 1).trim();
    if (!text) return;
    const mention = isNamed || toggle.getAttribute("aria-pressed") === "true";
    const quote = page.quote.get(full(chat.key));
    field.value = "";
    suggest?.close();
    setQuote(column, chat, null);
    speak(column, chat, { text, ...(canMention ? { mention } : {}), ...(quote ? { quote: quote.id } : {}) }).then((sent) => {
      if (!sent && !field.value) field.value = typed;
    });
  });
  field.addEventListener("keydown", (event) => {
    // While an input method composes, Enter belongs to it.
    if (event.isComposing || event.keyCode === 229 || suggest?.key(event)) return;
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

/** The list that opens behind a typed @: the bot first, then the members. */
function wireSuggest(column, chat, botName, setMention) {
  const box = column.querySelector(".suggest");
  const field = column.querySelector("textarea");
  const listId = `suggest-${chat.id.replaceAll(/\W/g, "_")}`;
  box.id = listId;
  box.setAttribute("aria-label", "@谁 mention");
  field.setAttribute("aria-controls", listId);
  let at = 0;
  const close = () => {
    box.hidden = true;
    field.removeAttribute("aria-activedescendant");
  };
  const pick = (choice) => {
    const caret = field.selectionStart;
    const before = field.value.slice(0, caret).replace(/@[^@\s]*$/, choice.isBot ? "" : `@${choice.name} `);
    field.value = before + field.value.slice(caret);
    field.setSelectionRange(before.length, before.length);
    if (choice.isBot) setMention(true);
    close();
    field.focus();
  };
  const open = (part) => {
    const people = chat.people.filter((one) => one.id !== speakerIn(chat));
    const choices = [{ isBot: true, name: botName }, ...people].filter((one) => one.name.includes(part));
    box.hidden = !choices.length;
    at = 0;
    box.replaceChildren(
      ...choices.map((one, number) => {
        const made = make("li", { role: "option", id: `${listId}-${number}`, "aria-selected": String(!number) }, one.isBot ? botAvatar() : avatar(one), one.name);
        made.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          pick(one);
        });
        made.choice = one;
        return made;
      }),
    );
  };
  field.addEventListener("input", () => {
    const typed = /(?:^|\s)@([^@\s]{0,20})$/.exec(field.value.slice(0, field.selectionStart));
    if (typed) open(typed[1]);
    else close();
  });
  field.addEventListener("blur", close);
  const key = (event) => {
    if (box.hidden) return false;
    const options = [...box.children];
    if (event.key === "Escape") close();
    else if (event.key === "Enter" || event.key === "Tab") pick(options[at].choice);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      at = (at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length;
      options.forEach((one, number) => one.setAttribute("aria-selected", String(number === at)));
      field.setAttribute("aria-activedescendant", options[at].id);
    } else return false;
    event.preventDefault();
    return true;
  };
  return { close, key };
}

function placed(chat) {
  return { channel: page.channel, user_id: speakerIn(chat), ...(chat.isGroup ? { group: chat.id } : {}) };
}

async function speak(column, chat, act) {
  const path = act.event ? "event" : "say";
  return attempt(column, path, { ...placed(chat), ...act });
}

/** Ask the server for something; what it refuses stands above the input, and the answer is false. */
async function attempt(column, path, body) {
  column.querySelector(".failed")?.remove();
  try {
    await send(path, body);
    return true;
  } catch (error) {
    const text = `没有发出 not sent: ${error.message}`;
    column.querySelector(".dock").prepend(make("p", { className: "problem failed", role: "alert", text }));
    return false;
  }
}

// ---------------------------------------------------------------- lines

function drawLine(column, entry, isFresh) {
  const log = column.querySelector(".log");
  const before = log.querySelector(`[data-entry="${entry.id}"]`);
  const chat = chatOf(column.dataset.chat);
  const line = makeLine(column, chat, entry);
  const isAtEnd = atEnd(log);
  if (before) {
    // In place, and only what changed, so that a screen reader does not read the words again.
    before.className = line.className;
    before.querySelector(".meta").replaceWith(line.querySelector(".meta"));
    if (before.dataset.content !== line.dataset.content) {
      before.dataset.content = line.dataset.content;
      before.querySelector(".content").replaceWith(line.querySelector(".content"));
    }
    before.querySelector(".acts").replaceWith(line.querySelector(".acts"));
    if (isAtEnd) toEnd(log);
    return;
  }
  if (isFresh) line.classList.add("fresh");
  log.append(line);
  if (log.children.length > KEPT_LINES) log.firstElementChild.remove();
  if (isFresh && (isAtEnd || entry.side === "member")) toEnd(log);
}

function makeLine(column, chat, entry) {
  const viewer = speakerIn(chat);
  const isOwn = entry.side === "member" && entry.user_id === viewer;
  const kinds = ["line", entry.side === "vendor" ? "vendor" : isOwn ? "own" : entry.side === "bot" ? "bot" : "other"];
  if (entry.kind === "event") kinds.push("event");
  if (entry.kind === "template_card") kinds.push("has-card");
  if (entry.route === "active") kinds.push("active");
  if (entry.status === "unseen") kinds.push("unseen");
  if (entry.status === "writing") kinds.push("writing");
  if (FAILED.has(entry.status)) kinds.push("lost");
  const view = { nameOf, viewer, press: (one, key, chosen) => press(column, chat, one, key, chosen) };
  const bubble = make("div", { className: "bubble" }, content(mentioned(entry), view));
  const name = chat.isGroup && !isOwn && entry.side !== "vendor" ? make("span", { className: "who", text: entry.side === "bot" ? botName(entry) : nameOf(entry.user_id) }) : null;
  const picture = entry.side === "vendor" ? null : entry.side === "bot" ? botAvatar() : avatar(channel().members.get(entry.user_id) ?? { colour: 0, letter: "?" });
  const said = make("div", { className: "said-box" }, name, bubble, meta(entry), acts(column, chat, entry));
  const line = make("li", { className: kinds.join(" "), "data-entry": entry.id }, picture, said);
  line.dataset.content = JSON.stringify([entry.text, entry.fields, entry.versions?.[viewer], entry.status === "writing"]);
  if (canQuote(chat, entry)) wireLongPress(bubble, () => setQuote(column, chat, entry));
  return line;
}

const botName = (entry) => (entry.route === "active" && channel().kind === "wecom_app" ? "应用 app" : channel().bot_name);

/** A message of a group that mentions the bot shows the mention, as the phone does. */
function mentioned(entry) {
  const isHeard = entry.side === "member" && entry.group_id && entry.status !== "unseen" && entry.kind === "text";
  const start = `@${channel().bot_name}`;
  return isHeard && !entry.text.startsWith(start) ? { ...entry, text: `${start} ${entry.text}` } : entry;
}

const canQuote = (chat, entry) => channel().kind === "wecom_aibot" && entry.side !== "vendor" && entry.kind !== "event";

function wireLongPress(bubble, act) {
  let timer = 0;
  const stop = () => clearTimeout(timer);
  bubble.addEventListener("contextmenu", (event) => {
    if (event.target.closest("a, button, input, select")) return;
    event.preventDefault();
    stop();
    act();
  });
  bubble.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" || event.target.closest("a, button, input, select, label")) return;
    timer = setTimeout(act, LONG_PRESS_MS);
  });
  for (const name of ["pointerup", "pointercancel", "pointerleave", "pointermove"]) bubble.addEventListener(name, stop);
}

function acts(column, chat, entry) {
  const row = make("div", { className: "acts" });
  if (entry.side === "bot" && entry.fields.feedback && entry.status !== "writing") {
    for (const [kind, label, small] of [[1, "有用", "accurate"], [2, "没用", "inaccurate"]]) {
      const isGiven = page.judged.get(entry.id) === kind;
      const judge = async () => {
        if (await attempt(column, "feedback", { entry: entry.id, user_id: speakerIn(chat), kind: isGiven ? 3 : kind })) {
          if (isGiven) page.judged.delete(entry.id);
          else page.judged.set(entry.id, kind);
        }
        drawLine(column, channel().entries.get(entry.id) ?? entry, false);
      };
      row.append(button(`thumb thumb${kind}`, label, small, judge, { "aria-pressed": String(isGiven) }));
    }
  }
  if (canQuote(chat, entry)) row.append(button("quote-act", "引用", "", () => setQuote(column, chat, entry), { title: "引用 quote" }));
  return row;
}

function press(column, chat, entry, key, chosen) {
  return attempt(column, "click", { entry: entry.id, user_id: speakerIn(chat), button_key: key, selections: chosen });
}

function meta(entry) {
  const made = make("div", { className: "meta" });
  const route = { active: "主动消息 active", response_url: "晚到的回答 late, response_url" }[entry.route];
  if (route) made.append(make("span", { className: "tag", text: route }));
  for (const [text, isBad] of remarks(entry)) made.append(make("span", { text, className: isBad ? "problem" : "" }));
  const at = new Date(entry.at_ms);
  made.append(make("time", { text: at.toLocaleTimeString("zh-CN", { hour12: false }), datetime: at.toISOString() }));
  return made;
}

function remarks(entry) {
  const found = [];
  const status = {
    sending: ["发送中 sending", false],
    unseen: ["机器人看不到未@它的消息 not heard by the bot", false],
    acknowledged: ["已收到，未回答 acknowledged", false],
    refused: [`被拒绝 refused: HTTP ${entry.http_status}`, true],
    unavailable: [`没有可用的回答 no usable answer: ${entry.note}`, true],
    truncated: ["过长被截断 cut", true],
    dropped: ["超出频率，未送达 over the rate, dropped", true],
    duplicate: ["重复消息，未送达 duplicate, dropped", true],
    unfinished: ["没有说完，平台不再等 never finished", true],
  }[entry.status];
  if (status) found.push(status);
  if (entry.repeats) found.push([`重复投递 ${entry.repeats} 次 repeated`, false]);
  return found;
}

const atEnd = (log) => log.scrollHeight - log.scrollTop - log.clientHeight < 60;

function toEnd(log) {
  log.scrollTop = log.scrollHeight;
}

// ---------------------------------------------------------------- dialogs

function wireDialog(dialog, submit) {
  const form = dialog.querySelector("form");
  const problem = form.querySelector(".problem");
  form.querySelector(".cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const show = await submit();
      dialog.close(); // gives the focus back to where it was; so what takes it comes after
      show?.();
    } catch (error) {
      problem.textContent = error.message;
    }
  });
  return (fill) => {
    form.reset();
    problem.textContent = "";
    fill?.();
    dialog.showModal();
  };
}

function openChat(key) {
  if (!shown().includes(key) || isPhone()) chooseChat(key);
  else draw();
  columnOf(key)?.querySelector("textarea").focus();
}

const fresh = () => `u${Math.random().toString(36).slice(2, 10)}`;

function wireMembers() {
  const open = wireDialog(byId("member-dialog"), async () => {
    const name = byId("member-name").value.trim();
    const id = byId("member-id").value.trim() || fresh();
    const { member } = await send("members", { channel: page.channel, user_id: id, name });
    channel().members.set(member.id, member);
    if (channel().kind === "wecom_robot") return null;
    return () => openChat(directKey(member.id));
  });
  byId("add").addEventListener("click", () => open());
}

let edited = null; // the group in the dialog, null for a new one
let openGroup = null;

function wireGroups() {
  openGroup = wireDialog(byId("group-dialog"), async () => {
    const members = [...byId("group-people").querySelectorAll("input:checked")].map((input) => input.value);
    if (!members.length) throw new Error("至少选一位成员 choose a member");
    const body = { channel: page.channel, name: byId("group-name").value.trim(), members };
    const { group } = await send("groups", edited ? { ...body, group: edited.id } : body);
    channel().groups.set(group.id, group);
    return () => openChat(groupKey(group.id));
  });
  byId("add-group").addEventListener("click", () => openGroupDialog(null));
}

function openGroupDialog(group) {
  edited = group;
  openGroup(() => {
    byId("group-name").value = group?.name ?? "";
    const people = [...channel().members.values()].map((person) => {
      const input = make("input", { type: "checkbox", value: person.id, checked: !group || group.members.includes(person.id) });
      return make("label", {}, input, avatar(person), make("span", { text: person.name }));
    });
    byId("group-people").replaceChildren(...people);
  });
}

matchMedia("(max-width: 720px)").addEventListener("change", draw);
wireMembers();
wireGroups();
wireFaults(() => channel());
listen();
