// The path of each file names its release. A page loaded just before a new release may miss some files: this reloads it, which loads
// the page of the new release. If files are still missing then, the page says so. This file alone has no release in its path.

const RELOADED = "ordermill-reloaded";
const PAUSE_MS = 10_000;
let isReloading = false;

function missing(event) {
  // An error of a script is no missing file.
  if (event.target === window || isReloading) return;
  const last = Number(sessionStorage.getItem(RELOADED));
  if (Date.now() - last < PAUSE_MS) return complain();
  isReloading = true;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  location.reload();
}

function complain() {
  if (document.readyState === "loading") return addEventListener("DOMContentLoaded", complain, { once: true });
  document.getElementById("missing").hidden = false;
}

addEventListener("error", missing, true);
