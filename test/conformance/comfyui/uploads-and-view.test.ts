// ComfyUI protocol notes §7.2, uploads and view: E53 to E56.
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ComfyStandIn, startComfyStandIn } from '../../../sandbox/comfyui/index.ts';
import { call } from './support/http-client.ts';
import type { FormPart } from './support/multipart-body.ts';

function image(filename: string, value: string | Buffer, ...more: FormPart[]): FormPart[] {
  return [{ name: 'image', filename, value }, ...more];
}

describe('uploads to and views of the ComfyUI stand-in', () => {
  let standIn: ComfyStandIn;
  let modern: ComfyStandIn;
  let url = '';
  const upload = (form: FormPart[], to = '/upload/image') => call(url, to, { form });
  beforeAll(async () => {
    standIn = await startComfyStandIn();
    url = standIn.url;
    modern = await startComfyStandIn({ profile: 'late-2026', directories: { output: standIn.directories.output } });
  });
  afterAll(async () => {
    await modern.close();
    await standIn.close();
  });

  it('E53 the same bytes keep the name, other bytes get a number, only true and 1 overwrite', async () => {
    const name = async (form: FormPart[]) => (await upload(form)).json;
    expect(await name(image('a.png', 'one'))).toEqual({ name: 'a.png', subfolder: '', type: 'input' });
    expect(await name(image('a.png', 'one'))).toMatchObject({ name: 'a.png' });
    expect(await name(image('a.png', 'two'))).toMatchObject({ name: 'a (1).png' });
    expect(await name(image('a.png', 'three', { name: 'overwrite', value: 'True' }))).toMatchObject({
      name: 'a (2).png',
    });
    for (const value of ['true', '1']) {
      expect(await name(image('a.png', value, { name: 'overwrite', value }))).toMatchObject({ name: 'a.png' });
      expect(await readFile(path.join(standIn.directories.input, 'a.png'), 'utf8')).toBe(value);
    }
    const deep = image('b.png', 'x', { name: 'subfolder', value: 'one/two' }, { name: 'type', value: 'temp' });
    expect(await name(deep)).toEqual({ name: 'b.png', subfolder: 'one/two', type: 'temp' });
    expect(await readFile(path.join(standIn.directories.temp, 'one/two/b.png'), 'utf8')).toBe('x');
  });

  it('E53 what cannot be stored is 400 or 500', async () => {
    const status = async (form: FormPart[]) => (await upload(form)).status;
    expect(await status([{ name: 'other', value: 'x' }])).toBe(400);
    expect((await call(url, '/upload/image', { body: {} })).status).toBe(400);
    expect(await status(image('a.png', 'x', { name: 'subfolder', value: '../x' }))).toBe(400);
    expect(await status(image('a.png', 'x', { name: 'subfolder', value: '/etc' }))).toBe(400);
    expect(await status(image('../../evil.png', 'x'))).toBe(400);
    expect(await status(image('nowhere/y.png', 'x'))).toBe(500);
    expect(await status(image('a.png', 'x', { name: 'type', value: 'elsewhere' }))).toBe(500);
    expect(await status([{ name: 'image', value: 'text' }])).toBe(500);
    expect(await status(image('', 'x'))).toBe(500);
    expect(await status(image('empty.png', ''))).toBe(200);
    expect((await stat(path.join(standIn.directories.input, 'empty.png'))).size).toBe(0);
  });

  it('E54 a mask whose original is missing answers 200 and writes nothing; with one, its alpha is taken', async () => {
    const mask = await sharp({
      create: { width: 4, height: 4, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0.5 } },
    })
      .png()
      .toBuffer();
    const original = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#ff0000' } })
      .png()
      .toBuffer();
    const form = (name: string, reference: object) =>
      image(name, mask, { name: 'original_ref', value: JSON.stringify(reference) });
    expect((await upload(form('m1.png', { filename: 'absent.png' }), '/upload/mask')).json).toMatchObject({
      name: 'm1.png',
    });
    await expect(stat(path.join(standIn.directories.input, 'm1.png'))).rejects.toThrow('ENOENT');
    await writeFile(path.join(standIn.directories.output, 'original.png'), original);
    await upload(form('m2.png', { filename: 'original.png', type: 'output' }), '/upload/mask');
    const { data } = await sharp(path.join(standIn.directories.input, 'm2.png'))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect([data[0], data[1], data[3]]).toEqual([255, 0, 128]);
    expect((await upload(image('m3.png', mask), '/upload/mask')).status).toBe(500);
  });

  it('E55 /view answers by its status table, with ranges, previews and channels', async () => {
    const { output, input } = standIn.directories;
    await mkdir(path.join(output, 'sub'), { recursive: true });
    const png = await sharp({
      create: { width: 4, height: 4, channels: 4, background: { r: 9, g: 8, b: 7, alpha: 0.5 } },
    })
      .png()
      .toBuffer();
    await writeFile(path.join(output, 'sub/p.png'), png);
    await writeFile(path.join(input, 'in.txt'), '0123456789');
    await writeFile(path.join(output, 'page.html'), '<p>');
    await writeFile(path.join(output, 'empty.bin'), '');
    const view = (query: string, headers: Record<string, string> = {}) => call(url, `/view?${query}`, { headers });
    const file = await view('filename=p.png&subfolder=sub');
    expect(file).toMatchObject({ status: 200, contentType: 'image/png' });
    expect(file.bytes.equals(png)).toBe(true);
    expect(file.headers['content-disposition']).toBe('filename="p.png"');
    expect(await view('filename=in.txt%20[input]', { range: 'bytes=2-4' })).toMatchObject({ status: 206, text: '234' });
    expect((await view('filename=in.txt&type=input', { range: 'bytes=50-' })).status).toBe(416);
    const head = await call(url, '/view?filename=in.txt&type=input', { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.text]).toEqual([200, '10', '']);
    expect((await view('filename=in.txt&type=input', { 'if-none-match': String(head.headers['etag']) })).status).toBe(
      304,
    );
    expect(await view('filename=page.html')).toMatchObject({ status: 200, contentType: 'application/octet-stream' });
    expect(await view('filename=empty.bin')).toMatchObject({ status: 200, text: '' });
    const statuses = {
      'filename=': 400,
      'filename=/etc/passwd': 400,
      'filename=a..b.png': 400,
      'filename=x&type=odd': 400,
      'filename=p.png&subfolder=../..': 403,
      '': 404,
      'filename=sub/p.png': 404,
      'filename=page.html&preview=webp': 500,
      'filename=page.html&channel=a': 500,
    };
    for (const [query, status] of Object.entries(statuses)) expect((await view(query)).status, query).toBe(status);
    const small = await view('filename=p.png&subfolder=sub&preview=jpeg;50');
    expect([small.contentType, (await sharp(small.bytes).metadata()).format]).toEqual(['image/jpeg', 'jpeg']);
    expect((await view('filename=p.png&subfolder=sub&preview=webp')).contentType).toBe('image/webp');
    expect((await sharp((await view('filename=p.png&subfolder=sub&channel=rgb')).bytes).metadata()).channels).toBe(3);
    const alpha = await sharp((await view('filename=p.png&subfolder=sub&channel=a')).bytes)
      .raw()
      .toBuffer();
    expect([...alpha.subarray(0, 4)]).toEqual([0, 0, 0, 128]);
  });

  it('E56 the newer profile says nosniff and serves active content as a download', async () => {
    await writeFile(path.join(standIn.directories.output, 'v.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>');
    const before = await call(url, '/view?filename=v.svg');
    expect([before.contentType, before.headers['x-content-type-options']]).toEqual(['image/svg+xml', undefined]);
    const after = await call(modern.url, '/view?filename=v.svg');
    expect(after.headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
      'content-disposition': 'attachment; filename="v.svg"',
    });
  });
});
