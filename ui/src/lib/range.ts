export const RANGES = [
    { seconds: 900, name: '15 min' },
    { seconds: 3600, name: '1 h' },
    { seconds: 6 * 3600, name: '6 h' },
    { seconds: 86400, name: '24 h' },
    { seconds: 7 * 86400, name: '7 days' },
];
