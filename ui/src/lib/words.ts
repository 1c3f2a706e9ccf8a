/* What the numbers and names mean, in one sentence each: one place, so pages say the same. */
import type { AlertState, Channel, Live, Phase, ProfileState, Verdict } from './api';

export const CHANNELS: Record<Channel, { name: string; meaning: string }> = {
    novelty: {
        name: 'Novelty',
        meaning:
            'Things this workload never did while Vigia learnt it: programs, who starts whom, calls, errors, files and addresses.',
    },
    sequence: {
        name: 'Sequence',
        meaning: 'Known calls in an order that this workload does not normally produce.',
    },
    frequency: {
        name: 'Frequency',
        meaning: 'How many calls of each kind in a second, compared with the normal mix.',
    },
};

export const DETECTORS: Record<string, string> = {
    stide: 'Short sequences of calls that were never seen while learning.',
    ngram: 'How improbable each call is after the calls before it.',
    novelty: 'Programs, calls, errors and arguments that were never seen while learning.',
    mahalanobis: 'How far the mix of calls in a second lies from the normal mix.',
};

export const NOVELTY_KINDS: Record<string, { name: string; meaning: string }> = {
    program: { name: 'New program', meaning: 'A program that this workload never ran.' },
    edge: {
        name: 'New parentage',
        meaning: 'A program started by one that never started it before.',
    },
    pair: { name: 'New call', meaning: 'A system call that this program never made before.' },
    errno: { name: 'New error', meaning: 'An error that this program never got from this call.' },
    argument: {
        name: 'New argument',
        meaning: 'A file, address or flag of a kind that this program never used before.',
    },
    rate: { name: 'New rate', meaning: 'Far more of something than this workload ever did.' },
};

export const FLAGS: Record<string, string> = {
    memfd: 'Runs from memory only: there is no file of it on any disk.',
    deleted: 'Its file was deleted while it ran.',
    'not from image':
        'Its file was written after the container started; it is not part of the image.',
    joined: 'Entered the container from outside.',
    session: 'A session opened from outside, as docker exec or kubectl exec do.',
};

export const STATES: Record<AlertState, string> = {
    new: 'New',
    acknowledged: 'Acknowledged',
    closed: 'Closed',
};

export const VERDICTS: { verdict: Verdict; name: string; meaning: string }[] = [
    {
        verdict: 'incident',
        name: 'Incident',
        meaning: 'Hostile. What happened stays out of what counts as normal.',
    },
    {
        verdict: 'expected',
        name: 'Expected',
        meaning: 'Known and wanted, such as maintenance. Vigia learns it as normal.',
    },
    {
        verdict: 'false alarm',
        name: 'False alarm',
        meaning: 'Ordinary work of this workload. Vigia learns it as normal.',
    },
];

export const PROFILE_STATES: Record<ProfileState, { name: string; meaning: string }> = {
    learning: {
        name: 'Learning',
        meaning: 'Vigia still collects what is normal; it does not alert yet.',
    },
    ready: { name: 'Ready', meaning: 'Normal behaviour is known; deviations raise alerts.' },
    drifting: {
        name: 'Drifting',
        meaning:
            'More than five times the alerts that were asked for, in a day: the workload has changed. It alerts all the same.',
    },
    retired: { name: 'Retired', meaning: 'It has made no call for seven days.' },
};

export const PHASES: Record<Phase, string> = { steady: 'steady running', startup: 'start-up' };

export const LEVELS: Record<Live['level'], string> = {
    full: 'everything is captured',
    'no arguments': 'overload: arguments are left out, calls and their order are complete',
    'bins only': 'overload: only counts per second are kept, no sequences',
};

export const SCORE_MEANING =
    'How rare this is in the normal time of its own workload: 50 is the threshold, each 10 points more are ten times rarer. Several kinds of evidence add 10 each.';

export const PROVISIONAL_MEANING =
    'The threshold comes from little normal time so far, so the score is an estimate.';

export const HELD_MEANING =
    'Seen while a container started, before Vigia has learnt two starts of this workload. Listed here, not sent to the alert sinks, and learnt as part of a start whatever the verdict.';

/** What is in a table that has a size, and so what one that did not fit was. */
export const LIMIT_MEANING: Record<string, string> = {
    containers: 'that run, or did lately',
    threads: 'whose order of calls is followed',
    processes: 'whose program and arguments are known',
    texts: 'paths and addresses behind their hashes',
    learning: 'new windows beyond the share of their hour: scored, but not learnt',
};
