// Making nodes: every word goes in as text, so nothing a person or the bot says can become markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, { text, className, ...rest } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  for (const [name, value] of Object.entries(rest)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export function button(className, label, small, act, more = {}) {
  const node = make("button", { type: "button", className, ...more }, label, small && make("small", { text: small }));
  if (label && small) node.firstChild.after(" ");
  node.addEventListener("click", act);
  return node;
}

export const avatar = (person) =>
  make("span", { className: `avatar c${person.colour}`, text: person.letter, "aria-hidden": "true" });

export const botAvatar = () => make("span", { className: "avatar robot", "aria-hidden": "true" });

/** The picture of a group: its first members in a square, as the phone shows it. */
export function groupAvatar(people) {
  const tiles = people.slice(0, 4).map((person) => make("i", { className: `c${person.colour}`, text: person.letter }));
  return make("span", { className: "avatar group", "aria-hidden": "true" }, ...tiles);
}

export async function ask(method, path, body) {
  const answer = await fetch(`api/${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  }).catch(() => {
    throw new Error("连不上服务器 the server is away");
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.title ?? `HTTP ${answer.status}`);
  return data;
}

export const send = (path, body) => ask("POST", path, body);
