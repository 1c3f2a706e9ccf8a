// The node server of soak.sh: what many a small service does (static files, JSON in files, gzip,
// crypto, timers, a log that is rotated, a back end, now and then a child or a worker), with three
// holes that such services have: a path that is joined, a shell command and an expression made of
// what the client sent.
'use strict';
const { exec } = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const path = require('path');
const { pipeline } = require('stream');
const { Worker } = require('worker_threads');
const zlib = require('zlib');

const PUBLIC = '/app/public', DATA = '/var/lib/app', LOG = '/var/log/app/access.log';
const LOG_BYTES = 300000;
let config = JSON.parse(fs.readFileSync('/app/config.json'));
let log = fs.createWriteStream(LOG, { flags: 'a' }), logged = 0;
const cache = new Map();
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });

function rotate() {
    logged = 0;
    fs.rename(LOG, LOG + '.1', () => {
        log.end();
        log = fs.createWriteStream(LOG, { flags: 'a' });
        pipeline(fs.createReadStream(LOG + '.1'), zlib.createGzip(), fs.createWriteStream(LOG + '.1.gz'), () => {});
    });
}

function answer(response, error, body) {
    response.statusCode = error ? (error.code === 'ENOENT' ? 404 : 500) : 200;
    response.end(error ? String(error.message) : body);
}

function item(request, response, name) {
    const file = `${DATA}/item-${name}.json`;
    if (request.method === 'POST') {
        let body = '';
        request.on('data', (d) => (body += d));
        request.on('end', () => {
            cache.delete(file);
            fs.writeFile(file + '.new', body, (e) => (e ? answer(response, e) : fs.rename(file + '.new', file, (f) => answer(response, f, 'kept'))));
        });
    } else if (request.method === 'DELETE') {
        cache.delete(file);
        fs.unlink(file, (e) => answer(response, e, 'gone'));
    } else if (cache.has(file)) {
        answer(response, null, cache.get(file));
    } else {
        fs.readFile(file, (e, text) => {
            if (!e) cache.set(file, text);
            answer(response, e, text);
        });
    }
}

const routes = {
    item: (q, s, name) => item(q, s, name),
    files: (q, s, _, url) => fs.readFile(path.join(PUBLIC, url.searchParams.get('name')), (e, text) => answer(s, e, text)),
    login: (q, s, _, url) => crypto.scrypt(url.searchParams.get('password') || '', 'salt', 32, { N: 2048 }, (e, key) => answer(s, e, key && key.toString('hex'))),
    token: (q, s) => crypto.randomBytes(48, (e, bytes) => answer(s, e, bytes && bytes.toString('base64'))),
    zip: (q, s) => zlib.gzip(Buffer.alloc(200000, 'some text '), (e, packed) => answer(s, e, packed)),
    backend: (q, s) => http.get({ host: 'localhost', port: 3001, agent, family: 4 }, (r) => r.pipe(s)).on('error', (e) => answer(s, e)),
    checksum: (q, s, _, url) => exec('sha256sum ' + url.searchParams.get('name'), { cwd: PUBLIC }, (e, text) => answer(s, e, text)),
    price: (q, s, _, url) => answer(s, null, String(eval(url.searchParams.get('of')))),
    report: (q, s) => {
        const worker = new Worker('let t = 0; for (let i = 0; i < 3e6; i++) t += i % 7; require("worker_threads").parentPort.postMessage(t)', { eval: true });
        worker.on('message', (total) => answer(s, null, String(total))).on('error', (e) => answer(s, e));
    },
    upload: (q, s) => {
        const file = `${DATA}/upload-${crypto.randomUUID()}.gz`;
        pipeline(q, zlib.createGzip(), fs.createWriteStream(file), (e) => answer(s, e, file));
    },
};

function page(request, response, url) {
    const file = PUBLIC + (url.pathname === '/' ? '/index.html' : path.normalize(url.pathname));
    fs.stat(file, (e, st) => {
        if (e) return answer(response, e);
        response.setHeader('etag', st.mtimeMs.toString(16));
        if ((request.headers['accept-encoding'] || '').includes('gzip')) {
            response.setHeader('content-encoding', 'gzip');
            return pipeline(fs.createReadStream(file), zlib.createGzip(), response, () => {});
        }
        fs.createReadStream(file).on('error', (f) => answer(response, f)).pipe(response);
    });
}

http.createServer((request, response) => {
    const url = new URL(request.url, 'http://here');
    const [, first, rest] = url.pathname.split('/');
    const line = `${new Date().toISOString()} ${request.method} ${request.url}\n`;
    log.write(line);
    if ((logged += line.length) > LOG_BYTES) rotate();
    try {
        if (routes[first]) routes[first](request, response, rest, url);
        else page(request, response, url);
    } catch (e) {
        answer(response, e);
    }
}).listen(3000, '127.0.0.1');
http.createServer((request, response) => setTimeout(() => response.end('{"stock": 3}'), 5)).listen(3001, '127.0.0.1');

setInterval(() => fs.appendFile(`${DATA}/metrics`, `${process.memoryUsage().rss} ${process.uptime()}\n`, () => {}), 5000);
setInterval(() => {
    cache.clear();
    for (const name of fs.readdirSync(DATA)) {
        if (name.startsWith('upload-') && Date.now() - fs.statSync(`${DATA}/${name}`).mtimeMs > config.keep_ms) fs.unlinkSync(`${DATA}/${name}`);
    }
}, 30000);
process.on('SIGHUP', () => {
    config = JSON.parse(fs.readFileSync('/app/config.json'));
    rotate();
});
process.on('SIGTERM', () => process.exit(0));
