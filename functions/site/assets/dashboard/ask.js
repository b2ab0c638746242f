// The dialog that asks before something changes: a question, perhaps a reason to enter, and what came of it.

import { explained } from "./api.js";
import { $, make, onBackdrop, say, show } from "./dom.js";

const dialog = $("ask");
let current = null;

/**
 * Asks a question. `prepare` returns the text or elements of the question and the word for yes, which is null if there is nothing to
 * do. `act(reason, dialog)` does it and returns what to say afterwards: `dialog.progress(text)` says how far it is, `dialog.isOpen()`
 * whether the question is still there. An error of either stays in the dialog. If that is closed, the page says the error of `act`.
 * `next` is the element that gets the focus afterwards if the one that asked is hidden; without it the list of orders does.
 */
export async function ask(question) {
  current = question;
  say($("ask-title"), question.title);
  say($("ask-said"), "");
  $("ask-body").replaceChildren(make("p", { class: "hint" }, question.waiting ?? ""));
  $("ask-reason").value = "";
  $("ask-reason").required = Boolean(question.needsReason);
  show($("ask-reason-field"), question.needsReason);
  $("ask-yes").className = question.isDangerous ? "danger" : "primary";
  show($("ask-yes"), false);
  $("ask-yes").disabled = false;
  if (!dialog.open) dialog.showModal();
  try {
    const { body, yes } = await question.prepare();
    if (current !== question) return;
    $("ask-body").replaceChildren(...[body].flat());
    say($("ask-yes"), yes ?? "");
    show($("ask-yes"), Boolean(yes));
    (question.needsReason ? $("ask-reason") : yes ? $("ask-yes") : $("ask-no")).focus();
  } catch (problem) {
    if (current !== question) return;
    $("ask-body").replaceChildren();
    refuse(problem);
  }
}

export const close = () => dialog.close();

function refuse(problem) {
  say($("ask-said"), explained(problem));
  $("ask-said").classList.add("bad");
}

/**
 * Says on the page what was done, for ten seconds, or until it is dismissed: the caller of a long action may have walked away. A new
 * element, because a screen reader would not read the same text again.
 */
export function announce(text, { stays = false } = {}) {
  const dismiss = () => said.remove();
  const said = make("span", {}, text, stays && make("button", { type: "button", onclick: dismiss }, "Dismiss"));
  lift();
  $("said").replaceChildren(said);
  if (!stays) setTimeout(dismiss, 10_000);
}

/** Moves what is said into the open dialog, as everything behind it is out of reach. */
const lift = () => (document.querySelector("dialog:modal") ?? document.body).append($("said"));

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const question = current;
  const isOpen = () => current === question;
  const progress = (text) => isOpen() && say($("ask-said"), text);
  $("ask-said").classList.remove("bad");
  $("ask-yes").disabled = true;
  try {
    const done = await question.act($("ask-reason").value.trim(), { progress, isOpen });
    const wasOpen = isOpen();
    if (wasOpen) {
      close();
      // The button that asked may be hidden by now, and can't get the focus back.
      const { activeElement: at } = document;
      if (at === document.body || dialog.contains(at)) $(question.next ?? "orders").focus();
    }
    announce(done, { stays: !wasOpen });
  } catch (problem) {
    if (isOpen()) refuse(problem);
    else announce(`“${question.title}” failed. ${explained(problem)}`, { stays: true });
  }
  if (isOpen()) $("ask-yes").disabled = false;
});
$("ask-no").addEventListener("click", close);
onBackdrop(dialog, close);
// The event does not bubble.
document.addEventListener("close", lift, { capture: true });
// The event comes after the closing, and by then another question may be open.
dialog.addEventListener("close", () => {
  if (!dialog.open) current = null;
});
