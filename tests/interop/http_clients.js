// SPDX-License-Identifier: Apache-2.0
//
// Node's http2 as a client: the same requests and the same lines as tests/tools/httpclient.
//
//   node http_clients.js URL CAFILE TOKEN BODYFILE PLAINURL
'use strict';
const http2 = require('node:http2'), fs = require('node:fs'), crypto = require('node:crypto');
const [url, ca, token, bodyFile, plainUrl] = process.argv.slice(2);
const digest = b => crypto.createHash('sha256').update(b).digest('hex');
const maps = '/api/v1/namespaces/default/configmaps';

function ask(session, method, path, body, headers) {
    return new Promise((done, failed) => {
        const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json', ...headers });
        const parts = [];
        let status;
        stream.on('response', h => { status = h[':status']; });
        stream.on('data', d => parts.push(d));
        stream.on('error', failed);
        stream.on('end', () => done({ status, body: Buffer.concat(parts) }));
        stream.end(body);
    });
}

function firstLine(session, path, headers) {
    return new Promise((done, failed) => {
        const stream = session.request({ ':path': path, ...headers });
        let status, text = '';
        stream.on('response', h => { status = h[':status']; });
        stream.on('error', failed);
        stream.on('data', d => {
            text += d;
            if (text.includes('\n')) {
                stream.close(http2.constants.NGHTTP2_CANCEL);
                done({ status, type: JSON.parse(text.split('\n')[0]).type });
            }
        });
    });
}

async function main() {
    const auth = { authorization: 'Bearer ' + token };
    const session = http2.connect(url, { ca: fs.readFileSync(ca) });
    const say = (name, r, word) => console.log(name, 'HTTP/2.0', r.status, word);
    let r = await ask(session, 'GET', '/version', null, auth);
    say('version', r, digest(r.body));
    say('post', await ask(session, 'POST', maps, fs.readFileSync(bodyFile), auth), '');
    r = await ask(session, 'GET', maps + '/big', null, auth);
    say('get', r, digest(JSON.parse(r.body).data.k));
    const all = await Promise.all(Array.from({ length: 300 }, () => ask(session, 'GET', '/version', null, auth)));
    console.log('many HTTP/2.0 200', all.filter(a => a.status === 200).length);
    r = await firstLine(session, maps + '?watch=true&fieldSelector=metadata.name=big', auth);
    say('watch', r, r.type);
    say('missing', await ask(session, 'GET', maps + '/none', null, auth), '');
    say('delete', await ask(session, 'DELETE', maps + '/big', null, auth), '');
    session.close();
    const plain = http2.connect(plainUrl);
    r = await ask(plain, 'GET', '/', null, {});
    say('plain', r, r.body.toString().trim());
    plain.close();
}
main().catch(e => { console.log('error', e); process.exit(1); });
