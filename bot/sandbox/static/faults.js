// The panel that lets the platform fail: callbacks, the API, tokens, the long connection, the clock.

import { ask, button, byId, make, send } from "./dom.js";

const WITH_TOKENS = ["wecom_app", "wechat_oa"];
// [Chinese, English, name, seconds]; each group only on channels that have such a thing.
const GROUPS = [
  ["回调", "callbacks", (one) => one.kind !== "wecom_robot" && one.mode !== "long_connection", [
    ["下一次丢失", "lost", "callback_lost"],
    ["下一次重复", "doubled", "callback_doubled"],
    ["下一次迟到 3 秒", "late", "callback_delayed", 3],
    ["后来的先到", "reordered", "callback_reordered"],
  ]],
  ["流式轮询", "stream polls", (one) => one.kind === "wecom_aibot" && one.mode === "callback", [
    ["下一次丢失", "lost", "poll_lost"],
    ["下一次重复", "doubled", "poll_doubled"],
  ]],
  ["机器人调用的接口", "API", () => true, [
    ["变慢 3 秒", "slow", "api_slow", 3],
    ["超时", "timeout", "api_timeout"],
    ["503", "5xx", "api_5xx"],
    ["系统繁忙 -1", "busy", "api_busy"],
    ["坏 JSON", "broken JSON", "api_broken_json"],
    ["办了但回答丢失", "answer lost", "api_answer_lost"],
  ]],
  ["凭证", "tokens", (one) => WITH_TOKENS.includes(one.kind), [
    ["撤销 token", "revoke", "token_revoked"],
    ["token 过期", "expire", "token_expired"],
  ]],
  ["长连接", "long connection", (one) => one.mode === "long_connection", [
    ["踢下线", "kick", "kick"],
    ["断开", "close", "close"],
    ["沉默", "silence", "silence"],
  ]],
];
const MOVES = [["＋1 小时", "hour", 3_600], ["＋1 天", "day", 86_400], ["拨回现在", "back to now", 0]];

/** Show how far the platform's clock stands from the machine's; nothing where it does not. */
export function showClock(offset_ms) {
  const shown = byId("clock");
  shown.hidden = !offset_ms;
  const hours = offset_ms / 3_600_000;
  const length = Math.abs(hours) >= 24 ? `${(hours / 24).toFixed(1)} 天 d` : `${hours.toFixed(1)} 小时 h`;
  shown.textContent = `⏱ 平台时钟 clock ${offset_ms > 0 ? "+" : ""}${length}`;
}

/** Wire the panel; `current()` is the channel it works on. */
export function wireFaults(current) {
  const dialog = byId("faults-dialog");
  const act = async (words, run) => {
    try {
      await run();
      say(`✓ ${words}`);
    } catch (error) {
      say(`没有做成 not done: ${error.message}`, true);
    }
    await showWaiting().catch(() => {});
  };
  byId("faults-open").addEventListener("click", async () => {
    byId("faults-channel").textContent = current()?.name ?? "";
    byId("faults-groups").replaceChildren(...GROUPS.filter(([, , fits]) => current() && fits(current())).map((group) => drawGroup(group, current, act)), drawClock(act));
    say("");
    dialog.showModal();
    await showWaiting().catch((error) => say(error.message, true));
  });
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  byId("faults-clear").addEventListener("click", () => act("已恢复 mended", () => ask("DELETE", "faults")));
}

function drawGroup([label, small, , faults], current, act) {
  const buttons = faults.map(([words, english, name, delay_s]) =>
    button("", words, english, () =>
      act(`${words} ${english}`, () => send("faults", { channel: current()?.name ?? "", name, ...(delay_s ? { delay_s } : {}) })),
    ),
  );
  return make("section", { className: "fault-group" }, make("h3", { text: `${label} ` }, make("small", { text: small })), make("div", { className: "row wrap" }, ...buttons));
}

function drawClock(act) {
  const buttons = MOVES.map(([words, english, by_s]) => button("", words, english, () => act(`${words} ${english}`, () => send("clock", by_s ? { by_s } : { reset: true }))));
  return make("section", { className: "fault-group" }, make("h3", { text: "时钟 " }, make("small", { text: "clock" })), make("div", { className: "row wrap" }, ...buttons));
}

async function showWaiting() {
  const { faults } = await ask("GET", "state");
  const items = faults.map((fault) => make("li", { text: Object.entries(fault).filter(([, value]) => value !== "" && value !== null && value !== false && value !== 0).map(([key, value]) => `${key} ${value}`).join(" · ") }));
  byId("faults-waiting").replaceChildren(...(items.length ? items : [make("li", { className: "none", text: "没有 none" })]));
}

function say(text, isBad = false) {
  const line = byId("faults-said");
  line.textContent = text;
  line.classList.toggle("problem", isBad);
}
