// What a recovery procedure in JavaScript is written with: failures as values, listings as generators, settings by name.

import { log } from 'pravega:recovery/report@0.1.0';

/** Most rows that the host puts into one page. */
const PAGE_ROWS = 4096;

/** The cases of `types.error`. */
const CASES = new Set([
  'not-found', 'already-exists', 'conflict', 'invalid', 'denied', 'damaged', 'unavailable', 'exhausted', 'failed',
]);

/**
 * For every export that can fail: what is thrown in it becomes an error of the contract.
 *
 * What the host answered is passed on as it is. Anything else is a mistake of the procedure itself; without this it would end
 * the instance with a trap, and its message would be lost.
 */
export function failuresAsValues(exported) {
  return (...given) => {
    try {
      return exported(...given);
    } catch (thrown) {
      // What a call of the host threw holds the error of the contract; what `giveUp` threw is one.
      const error = thrown?.payload ?? thrown;
      throw CASES.has(error?.tag) ? error : { tag: 'failed', val: inWords(thrown) };
    }
  };
}

function inWords(mistake) {
  return mistake instanceof Error ? `${mistake.name}: ${mistake.message}; at ${mistake.stack.trim().split('\n').join(', ')}` : String(mistake);
}

/** Gives up with an error of the contract, such as `giveUp('not-found', 'there is no container 7')`. */
export function giveUp(tag, sentence) {
  throw { tag, val: sentence };
}

/** The settings as an object. The host has checked them already: there is one for each parameter that the procedure describes. */
export function settingsByName(settings) {
  return Object.fromEntries(settings.map(({ name, value }) => [name, value]));
}

/** The rows of a listing, one by one. */
export function* rows(listing) {
  for (let page = listing.nextPage(PAGE_ROWS); page.length > 0; page = listing.nextPage(PAGE_ROWS)) {
    yield* page;
  }
}

/** Tells the operator what happens. */
export function info(message) {
  log('info', message);
}

/** One task for each selected container, or for every container if none is selected. */
export function taskPerContainer(containers, selected) {
  const known = new Set(containers.map(({ id }) => id));
  const unknown = [...selected].find((id) => !known.has(id));
  if (unknown !== undefined) {
    giveUp('not-found', `container ${unknown} was selected, but it left nothing in Tier-2`);
  }
  const wanted = containers.filter(({ id }) => selected.length === 0 || selected.includes(id));
  return wanted.map(({ id, objects, bytes }) => ({
    id: `container-${id}`,
    container: id,
    title: `container ${id}: ${objects} objects, ${bytes} bytes`,
  }));
}
