// Files lie below a path that names their release. A page that was loaded just before another release came can miss some:
// it is reloaded, which brings the page of the new release. This file alone has no release in its path.

const RELOADED = "ordermill-reloaded";
const PAUSE_MS = 10_000;

function reload(event) {
  // An error of a script is no missing file. Files that are still missing after a reload are not waited for.
  const last = Number(sessionStorage.getItem(RELOADED));
  if (event.target === window || Date.now() - last < PAUSE_MS) return;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
}

addEventListener("error", reload, true);
