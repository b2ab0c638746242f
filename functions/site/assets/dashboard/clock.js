// The service's time. The browser's clock may be wrong, so the page takes the difference from the answers of the service.

let ahead = 0;

/** Takes the service's time from the `Date` of an answer that has just come, to a call that began at `begun` by the browser's clock. */
export function set(date, begun) {
  const served = Date.parse(date);
  if (Number.isNaN(served)) return;
  // The service read its clock between the call and the answer, and the header leaves out the fraction of the second. The difference
  // changes only if it was impossible then. A slow answer rules little out.
  ahead = Math.min(Date.now() - served, Math.max(begun - served - 1000, ahead));
}

/** By how many milliseconds the browser's clock is ahead of the service's. */
export const skew = () => ahead;

/** The service's time, in milliseconds. */
export const now = () => Date.now() - ahead;
