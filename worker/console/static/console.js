// Every page works without this. With it: figures refresh by themselves until they are paused, all rows can be ticked
// at once, buttons say how many they are about, keys go through the page, and the editor says while one types what the
// worker would say.
"use strict";

const PAUSED = "console-paused";

function paused() {
  return sessionStorage.getItem(PAUSED) === "yes";
}

/** Whether somebody is in the middle of something that would be lost, or moved, if this part were replaced. */
function inUse(part) {
  const selection = document.getSelection();
  const selects = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return selects || (part.contains(document.activeElement) && document.activeElement !== document.body);
}

/** Ask for this page again, and replace the parts that are marked as live where they have changed. */
async function refresh() {
  const answer = await fetch(location.href, { headers: { "X-Part": "live" } });
  if (answer.redirected) {
    location.reload();
    return;
  }
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (other && other.outerHTML !== part.outerHTML && !inUse(part)) part.replaceWith(document.adoptNode(other));
  }
  const interval = fresh.querySelector("[data-refresh]");
  if (!interval) document.querySelector("[data-refresh]")?.removeAttribute("data-refresh");
}

/** Whether there is anything new in the queue; the table stays as it is until its reader wants the new one. */
async function news(place) {
  const ids = [...document.querySelectorAll("input[name=id]")].map((box) => box.value).join(",");
  const address = `/letters/news?since=${place.dataset.since}&ids=${ids}`;
  const answer = await fetch(address);
  if (!answer.ok || answer.redirected) return;
  const { newer, gone } = await answer.json();
  const parts = [];
  if (newer) parts.push(`${newer} new`);
  if (gone) parts.push(`${gone} of these ${gone === 1 ? "is" : "are"} gone`);
  place.querySelector("[data-text]").textContent = parts.join(", ");
  place.querySelector("a").hidden = parts.length === 0;
}

function repeat(seconds, task) {
  const turn = async () => {
    if (!paused() && !document.hidden && document.querySelector("[data-refresh]")) {
      try {
        await task();
      } catch {
        // The console is away; the next turn tries again.
      }
    }
    setTimeout(turn, seconds * 1000);
  };
  setTimeout(turn, seconds * 1000);
}

function setUpRefresh() {
  const root = document.querySelector("[data-refresh]");
  if (!root) return;
  const button = document.querySelector("[data-pause]");
  const say = () => {
    button.textContent = paused() ? "Resume refreshing" : "Pause refreshing";
    button.setAttribute("aria-pressed", String(paused()));
  };
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => {
      sessionStorage.setItem(PAUSED, paused() ? "no" : "yes");
      say();
    });
    say();
  }
  const place = document.querySelector("[data-news]");
  repeat(Number(root.dataset.refresh), place ? () => news(place) : refresh);
}

function setUpSelection() {
  const all = document.querySelector("[data-select-all]");
  if (!all) return;
  const boxes = [...document.querySelectorAll("input[name=id]")];
  const count = document.querySelector("[data-selected]");
  const whole = Number(count.dataset.all);
  count.setAttribute("aria-live", "polite");
  const say = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    all.checked = ticked === boxes.length && ticked > 0;
    all.indeterminate = ticked > 0 && ticked < boxes.length;
    count.textContent = ticked ? `${ticked} selected` : "";
    // A button says what it does: without a tick it is about all that match, those on other pages too.
    for (const button of document.querySelectorAll("[data-verb]")) {
      button.textContent = `${button.dataset.verb} ${ticked || (whole > 1 ? "all " : "") + whole.toLocaleString("en")}`;
    }
  };
  all.closest("[hidden]")?.removeAttribute("hidden");
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    say();
  });
  for (const box of boxes) box.addEventListener("change", say);
  say();
}

function setUpEditor() {
  const form = document.querySelector("[data-check]");
  if (!form) return;
  const text = form.querySelector("textarea");
  let timer = 0;
  let latest = 0;
  const check = async () => {
    const turn = ++latest;
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.check, { method: "POST", body, headers: { "X-Part": "check" } });
    if (!answer.ok || answer.redirected || turn !== latest) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("check");
    if (fresh) document.getElementById("check").replaceWith(document.adoptNode(fresh));
  };
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => check().catch(() => {}), 350);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

/** A form is sent once, however often its button is clicked. */
function setUpForms() {
  for (const form of document.querySelectorAll("form[method=post]:not([data-again])")) {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  }
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
}

/** On a narrow page the filters are folded, unless something is filtered. */
function setUpFolds() {
  if (!matchMedia("(max-width: 44rem)").matches) return;
  for (const fold of document.querySelectorAll("details[data-fold]")) {
    if (fold.dataset.fold !== "no") fold.open = false;
  }
}

/** Go to the next row or the one before, and to its link. */
function step(by) {
  const rows = [...document.querySelectorAll("tr[data-row]")].filter((row) => row.querySelector("a"));
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("at"));
  const next = Math.min(rows.length - 1, Math.max(0, at + by));
  for (const row of rows) row.classList.toggle("at", row === rows[next]);
  rows[next].querySelector("a").focus();
}

function setUpKeyboard() {
  const help = document.getElementById("keys");
  const search = () => document.querySelector("[data-search]");
  const keys = {
    "/": () => {
      search()?.closest("details")?.setAttribute("open", "");
      search()?.focus();
    },
    j: () => step(1),
    k: () => step(-1),
    x: () => document.querySelector("tr.at input[type=checkbox]")?.click(),
    "?": () => help?.showModal(),
  };
  addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input:not([type=checkbox]), textarea, select");
    if (writes || help?.open || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
}

setUpRefresh();
setUpSelection();
setUpFolds();
setUpKeyboard();
setUpEditor();
setUpForms();
