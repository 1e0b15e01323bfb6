// Procedure `audit`: looks at what Tier-2 holds, and stages nothing.
//
// For each container, alone: count its segments by kind, and name those that a recovery would have to decide about. What it
// finds becomes the decisions of a plan that changes nothing, which `dr show` prints; the table of each container goes to the log.

import { containers, listSegments } from 'pravega:recovery/storage@0.1.0';
import { decision, progress } from 'pravega:recovery/report@0.1.0';
import { failuresAsValues, info, rows, settingsByName, taskPerContainer } from './guest_kit.js';

const PARAMETERS = [
  {
    name: 'name-at-most',
    kind: 'integer',
    defaultValue: '20',
    help: 'How many odd segments of a container are named; all are counted.',
  },
];

export function describe() {
  return {
    name: 'audit',
    version: '0.1.0',
    summary: 'Tells what Tier-2 holds and what of it is odd, and changes nothing.',
    scenarios: ['total-loss'],
    // Everything else is denied to it: whatever this source does, it can stage nothing.
    capabilities: ['storage.containers', 'storage.list-segments'],
    parameters: PARAMETERS,
  };
}

export const prepare = failuresAsValues((_settings, selected) => taskPerContainer(containers(), selected));

export const run = failuresAsValues((settings, task) => {
  const nameAtMost = Number(settingsByName(settings)['name-at-most']);
  const audit = new Audit(task.container);
  for (const segment of rows(listSegments(task.container))) {
    audit.see(segment);
  }
  audit.report(nameAtMost);
});

export const finish = failuresAsValues((_settings) => {});

/** What is found in one container. */
class Audit {
  constructor(container) {
    this.container = container;
    /** Counts and bytes by kind. Lengths are BigInt: they have 64 bits. */
    this.kinds = new Map();
    this.odd = [];
    this.seen = 0n;
  }

  see(segment) {
    const kind = this.kinds.get(segment.kind) ?? { segments: 0, sealed: 0, bytes: 0n };
    kind.segments += 1;
    kind.sealed += segment.sealed ? 1 : 0;
    kind.bytes += segment.length - segment.startOffset;
    this.kinds.set(segment.kind, kind);
    const remarks = oddities(segment);
    if (remarks.length > 0) {
      this.odd.push({ name: segment.name, remarks });
    }
    this.seen += 1n;
    if (this.seen % 1000n === 0n) {
      progress(this.seen, 0n);
    }
  }

  report(nameAtMost) {
    const bytes = [...this.kinds.values()].reduce((sum, kind) => sum + kind.bytes, 0n);
    const subject = `container ${this.container}`;
    this.table().forEach(info);
    decision(this.container, subject, `${this.seen} segments, ${bytes} bytes`, this.kindsInWords());
    for (const { name, remarks } of this.odd.slice(0, nameAtMost)) {
      decision(this.container, name, 'odd', remarks.join('; '));
    }
    if (this.odd.length > nameAtMost) {
      const more = this.odd.length - Math.max(nameAtMost, 0);
      decision(this.container, subject, `${more} more odd segments`, 'the setting `name-at-most` leaves them out');
    }
  }

  sortedKinds() {
    return [...this.kinds.entries()].sort(([one], [other]) => (one < other ? -1 : 1));
  }

  kindsInWords() {
    const kinds = this.sortedKinds().map(([name, { segments, sealed }]) => `${segments} ${name} (${sealed} sealed)`);
    return kinds.length > 0 ? kinds.join(', ') : 'it holds no segment';
  }

  /** A table in Markdown, a line for each kind. */
  table() {
    const line = ([name, { segments, sealed, bytes }]) => `| ${this.container} | ${name} | ${segments} | ${sealed} | ${bytes} |`;
    return ['| container | kind | segments | sealed | bytes |', '|---|---|---|---|---|', ...this.sortedKinds().map(line)];
  }
}

/** What of a segment a recovery would have to decide about, in words. */
function oddities(segment) {
  const remarks = [...segment.findings];
  if (segment.standing === 'unrecorded') {
    remarks.push('no metadata names it');
  }
  const known = [segment.recordedLength, segment.rowLength].filter((length) => length !== undefined);
  const missing = known.map((length) => length - segment.length).filter((bytes) => bytes > 0n);
  if (segment.standing === 'live' && missing.length > 0) {
    remarks.push(`${missing.reduce((most, bytes) => (bytes > most ? bytes : most))} bytes are missing`);
  }
  return remarks;
}
