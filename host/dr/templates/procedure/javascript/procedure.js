// Procedure `new-procedure`: tells how much each container holds, and changes nothing.
//
// A beginning. What it may call is what `capabilities` names; `guest_kit.js` is what it is written with, `wit/` the contract.

import { containers, listSegments } from 'pravega:recovery/storage@0.1.0';
import { decision } from 'pravega:recovery/report@0.1.0';
import { failuresAsValues, rows, settingsByName, taskPerContainer } from './guest_kit.js';

export function describe() {
  return {
    name: 'new-procedure',
    version: '0.1.0',
    summary: 'Tells how much each container holds.',
    scenarios: ['total-loss'],
    capabilities: ['storage.containers', 'storage.list-segments'],
    parameters: [
      { name: 'kind', kind: 'text', defaultValue: '', help: 'Count only segments of this kind; empty for all.' },
    ],
  };
}

export const prepare = failuresAsValues((_settings, selected) => taskPerContainer(containers(), selected));

// Called once for each container, in an instance of its own.
export const run = failuresAsValues((settings, task) => {
  const { kind } = settingsByName(settings);
  let count = 0;
  let bytes = 0n;
  for (const segment of rows(listSegments(task.container))) {
    if (kind === '' || kind === segment.kind) {
      count += 1;
      bytes += segment.length - segment.startOffset;
    }
  }
  decision(task.container, `container ${task.container}`, `${count} segments, ${bytes} bytes`, 'counted in Tier-2');
});

// Called once, after the last task.
export const finish = failuresAsValues((_settings) => {});
