// The path of each file names its release. A page loaded just before a new release may miss some files: this reloads it, which loads
// the page of the new release. This file alone has no release in its path.

const RELOADED = "ordermill-reloaded";
const PAUSE_MS = 10_000;

function reload(event) {
  // An error of a script is no missing file. If files are still missing after a reload, this does not reload again.
  const last = Number(sessionStorage.getItem(RELOADED));
  if (event.target === window || Date.now() - last < PAUSE_MS) return;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
}

addEventListener("error", reload, true);
