// The sandbox's chat page. All words of people and bot are put in as text, never as markup.

const QUICK = [
  { label: "关注", small: "follow", event: "subscribe" },
  { label: "进入应用", small: "enter", event: "enter_agent", kind: "wecom_app" },
  { label: "签到", small: "check in", text: "签到" },
  { label: "积分", small: "points", text: "积分" },
  { label: "排行", small: "ranking", text: "排行" },
  { label: "帮助", small: "help", text: "帮助" },
];
const KINDS = { wecom_app: ["企业微信应用", "WeCom app"], wechat_oa: ["公众号", "Official Account"] };
const WIDE_COLUMNS = 3;
const KEPT_LINES = 200;

const page = {
  channels: new Map(), // name → {name, kind, mode, members: Map, entries: Map}
  channel: "",
  shown: new Map(), // channel → ids of the columns, in order
  current: "", // the person a phone shows
  unseen: new Set(), // ids with news while not shown
};

const byId = (id) => document.getElementById(id);
const channel = () => page.channels.get(page.channel);
const shown = () => page.shown.get(page.channel) ?? [];

function make(tag, { text, className, ...rest } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  for (const [name, value] of Object.entries(rest)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const avatar = (person) =>
  make("span", { className: `avatar c${person.colour}`, text: person.letter, "aria-hidden": "true" });

async function send(path, body) {
  const answer = await fetch(`api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }).catch(() => {
    throw new Error("连不上服务器 the server is away");
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.title ?? `HTTP ${answer.status}`);
  return data;
}

// ---------------------------------------------------------------- what the server tells

function takeSnapshot({ channels }) {
  page.channels = new Map(
    channels.map((one) => [
      one.name,
      {
        ...one,
        members: new Map(one.members.map((person) => [person.id, person])),
        entries: new Map(one.entries.map((entry) => [entry.id, entry])),
      },
    ]),
  );
  for (const one of page.channels.values()) {
    const known = (page.shown.get(one.name) ?? []).filter((id) => one.members.has(id));
    page.shown.set(one.name, known.length ? known : [...one.members.keys()].slice(0, WIDE_COLUMNS));
  }
  if (!page.channels.has(page.channel)) page.channel = channels[0]?.name ?? "";
  if (!shown().includes(page.current)) page.current = shown()[0] ?? "";
  draw();
}

function takeEntry(entry) {
  const home = page.channels.get(entry.channel);
  if (!home) return;
  home.entries.set(entry.id, entry);
  if (entry.channel !== page.channel) return;
  const column = columnOf(entry.user_id);
  if (column) drawLine(column.querySelector(".log"), entry, true);
  const isSeen = column && (!isPhone() || page.current === entry.user_id);
  if (!isSeen && entry.side !== "member") {
    page.unseen.add(entry.user_id);
    drawPeople();
  }
}

function takeMember({ channel: name, member }) {
  page.channels.get(name)?.members.set(member.id, member);
  if (name === page.channel) drawPeople();
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

// ---------------------------------------------------------------- drawing

const isPhone = () => matchMedia("(max-width: 640px)").matches;
const columnOf = (id) => document.querySelector(`.phone[data-id="${CSS.escape(id)}"]`);

function draw() {
  drawChannels();
  drawPeople();
  drawColumns();
}

function drawChannels() {
  const buttons = [...page.channels.values()].map((one) => {
    const [label, small] = KINDS[one.kind];
    const button = make(
      "button",
      { type: "button", className: "chip", "aria-pressed": String(one.name === page.channel) },
      `${label} `,
      make("small", { text: `${one.name} · ${small}` }),
    );
    button.addEventListener("click", () => chooseChannel(one.name));
    return button;
  });
  byId("channels").replaceChildren(...buttons);
}

function drawPeople() {
  const focused = document.activeElement?.closest?.("#people [data-id]")?.dataset.id;
  const buttons = [...(channel()?.members.values() ?? [])].map((person) => {
    const isOn = isPhone() ? person.id === page.current : shown().includes(person.id);
    const button = make(
      "button",
      { type: "button", className: "chip", "data-id": person.id, "aria-pressed": String(isOn) },
      avatar(person),
      make("span", { text: person.name }),
    );
    if (page.unseen.has(person.id)) {
      button.append(make("span", { className: "new", text: "●", title: "新消息 new", role: "img", "aria-label": "新消息 new" }));
    }
    button.addEventListener("click", () => choosePerson(person.id));
    return button;
  });
  byId("people").replaceChildren(...buttons);
  if (focused) byId("people").querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
}

function drawColumns() {
  const drafts = new Map(
    [...document.querySelectorAll(".phone")].map((node) => [node.dataset.key, node.querySelector("textarea").value]),
  );
  const active = document.activeElement;
  const focused = active?.matches?.(".compose textarea") ? active.closest(".phone").dataset.key : "";
  const [from, to] = focused ? [active.selectionStart, active.selectionEnd] : [0, 0];
  const columns = shown().map((id) => makeColumn(channel().members.get(id)));
  for (const column of columns) column.querySelector("textarea").value = drafts.get(column.dataset.key) ?? "";
  if (!page.channels.size) {
    columns.push(make("p", { className: "empty", text: "没有可用的渠道，请在 config.yaml 里配置。No channel is configured." }));
  }
  byId("columns").replaceChildren(...columns);
  for (const column of document.querySelectorAll(".phone")) toEnd(column.querySelector(".log"));
  if (!focused) return;
  const again = document.querySelector(`[data-key="${CSS.escape(focused)}"] textarea`);
  again?.focus();
  again?.setSelectionRange(from, to);
}

function makeColumn(person) {
  const column = byId("column-template").content.cloneNode(true).firstElementChild;
  column.dataset.id = person.id;
  column.dataset.key = `${page.channel}/${person.id}`;
  column.classList.toggle("current", person.id === page.current);
  column.setAttribute("aria-label", `${person.name} 的聊天 chat`);
  column.querySelector(".avatar").replaceWith(avatar(person));
  column.querySelector(".name").textContent = person.name;
  column.querySelector(".id").textContent = person.id;
  const close = column.querySelector(".close");
  close.setAttribute("aria-label", `收起 ${person.name} close`);
  close.addEventListener("click", () => {
    choosePerson(person.id);
    byId("people").querySelector(`[data-id="${CSS.escape(person.id)}"]`)?.focus();
  });
  const log = column.querySelector(".log");
  log.setAttribute("aria-label", `${person.name} 的消息 messages`);
  for (const entry of channel().entries.values()) if (entry.user_id === person.id) drawLine(log, entry, false);
  drawQuick(column, person);
  wireCompose(column, person);
  return column;
}

function drawQuick(column, person) {
  const group = column.querySelector(".quick");
  group.setAttribute("aria-label", "快捷操作 quick actions");
  for (const { label, small, kind, ...act } of QUICK) {
    if (kind && kind !== channel().kind) continue;
    const button = make("button", { type: "button", title: small }, `${label} `, make("small", { text: small }));
    button.addEventListener("click", () => speak(column, person, act));
    group.append(button);
  }
}

function wireCompose(column, person) {
  const form = column.querySelector(".compose");
  const field = form.querySelector("textarea");
  field.setAttribute("aria-label", `以 ${person.name} 的身份说 say as ${person.name}`);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    speak(column, person, { text }).then((sent) => {
      if (!sent && !field.value) field.value = text;
    });
  });
  field.addEventListener("keydown", (event) => {
    // While an input method composes, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    form.requestSubmit();
  });
}

async function speak(column, person, act) {
  column.querySelector(".failed")?.remove();
  try {
    await send(act.event ? "event" : "say", { channel: page.channel, user_id: person.id, ...act });
    return true;
  } catch (error) {
    const text = `没有发出 not sent: ${error.message}`;
    column.querySelector(".quick").before(make("p", { className: "problem failed", role: "alert", text }));
    return false;
  }
}

function drawLine(log, entry, isFresh) {
  const before = log.querySelector(`[data-entry="${entry.id}"]`);
  const line = makeLine(entry);
  if (before) {
    // In place, so that a screen reader does not read the words again.
    before.className = line.className;
    before.querySelector(".meta").replaceWith(line.querySelector(".meta"));
    return;
  }
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  if (isFresh) line.classList.add("fresh");
  log.append(line);
  if (log.children.length > KEPT_LINES) log.firstElementChild.remove();
  if (isFresh && (isAtEnd || entry.side === "member")) toEnd(log);
}

function makeLine(entry) {
  const kinds = ["line", { member: "own", bot: "bot", vendor: "vendor" }[entry.side]];
  if (entry.kind === "event") kinds.push("event");
  if (entry.route === "active") kinds.push("active");
  if (entry.status === "dropped" || entry.status === "duplicate") kinds.push("lost");
  const meta = make("div", { className: "meta" });
  if (entry.route === "active") meta.append(make("span", { className: "tag", text: "主动消息 active" }));
  for (const [text, isBad] of remarks(entry)) meta.append(make("span", { text, className: isBad ? "problem" : "" }));
  const at = new Date(entry.at_ms);
  meta.append(make("time", { text: at.toLocaleTimeString("zh-CN", { hour12: false }), datetime: at.toISOString() }));
  return make("li", { className: kinds.join(" "), "data-entry": entry.id }, make("div", { className: "bubble", text: entry.text }), meta);
}

function remarks(entry) {
  const found = [];
  const status = {
    sending: ["发送中 sending", false],
    acknowledged: ["已收到，未回答 acknowledged", false],
    refused: [`被拒绝 refused: HTTP ${entry.http_status}`, true],
    unavailable: [`没有可用的回答 no usable answer: ${entry.note}`, true],
    truncated: ["过长被截断 cut", true],
    dropped: ["超出频率，未送达 over the rate, dropped", true],
    duplicate: ["重复消息，未送达 duplicate, dropped", true],
  }[entry.status];
  if (status) found.push(status);
  if (entry.repeats) found.push([`重复投递 ${entry.repeats} 次 repeated`, false]);
  return found;
}

function toEnd(log) {
  log.scrollTop = log.scrollHeight;
}

// ---------------------------------------------------------------- choosing

function chooseChannel(name) {
  page.channel = name;
  page.unseen.clear();
  if (!shown().includes(page.current)) page.current = shown()[0] ?? "";
  draw();
  document.querySelector('#channels [aria-pressed="true"]')?.focus();
}

function choosePerson(id) {
  page.unseen.delete(id);
  const columns = shown();
  if (isPhone()) {
    page.current = id;
    if (!columns.includes(id)) page.shown.set(page.channel, [...columns, id]);
  } else {
    page.shown.set(page.channel, columns.includes(id) ? columns.filter((one) => one !== id) : [...columns, id]);
    if (!shown().includes(page.current)) page.current = shown()[0] ?? "";
  }
  drawPeople();
  drawColumns();
}

function wireDialog() {
  const dialog = byId("dialog");
  byId("add").addEventListener("click", () => {
    byId("add-form").reset();
    byId("add-problem").textContent = "";
    dialog.showModal();
  });
  byId("add-cancel").addEventListener("click", () => dialog.close());
  byId("add-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = byId("add-name").value.trim();
    const id = byId("add-id").value.trim() || `u${Math.random().toString(36).slice(2, 10)}`;
    try {
      const { member } = await send("members", { channel: page.channel, user_id: id, name });
      channel().members.set(member.id, member);
      dialog.close();
      if (!shown().includes(member.id) || isPhone()) choosePerson(member.id);
      columnOf(member.id)?.querySelector("textarea").focus();
    } catch (error) {
      byId("add-problem").textContent = error.message;
    }
  });
}

matchMedia("(max-width: 640px)").addEventListener("change", draw);
wireDialog();
listen();
