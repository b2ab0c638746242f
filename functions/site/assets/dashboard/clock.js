// The service's time. The browser's clock may be wrong, so the page takes the difference from an answer of the service.

// A smaller difference may come from the header: it leaves out the fraction of the second, and takes its time.
const LEAST_MS = 2000;

let ahead = 0;

/** Takes the service's time from the `Date` of an answer that has just come. Without one the browser's clock counts. */
export function set(date) {
  const difference = Date.now() - Date.parse(date);
  ahead = Math.abs(difference) > LEAST_MS ? difference : 0;
}

/** By how many milliseconds the browser's clock is ahead of the service's. */
export const skew = () => ahead;

/** The service's time, in milliseconds. */
export const now = () => Date.now() - ahead;
