import { describe, expect, it } from 'vitest';
import { appendQuery, buildUrls, fillTemplate, pingBaseUrl } from '../../../worker/runpod/url-template.ts';

const host = 'https://host/v2/ep';

describe('addresses of the worker routes', () => {
  it('suffixes begin with ? where the template has no query, and with & where it has one', () => {
    expect(appendQuery('https://h/a', 'b=1')).toBe('https://h/a?b=1');
    expect(appendQuery('https://h/a?x=1+2', 'b=1')).toBe('https://h/a?x=1+2&b=1');
    expect(appendQuery('https://h/a?', 'b=1')).toBe('https://h/a?b=1');
  });

  it('a placeholder that nobody knows stays as it is, and $ID does not match the beginning of a longer name', () => {
    expect(fillTemplate('/$ID/$IDENTITY/$OTHER?x=$ID', { ID: 'a' })).toBe('/a/$IDENTITY/$OTHER?x=a');
  });

  it('a value with $ signs is taken literally', () => {
    expect(fillTemplate('/$ID', { ID: "$&$1$'" })).toBe("/$&$1$'");
  });

  it('in the take template both placeholders mean the worker, in the done template $ID means the job', () => {
    const urls = buildUrls({
      takeTemplate: `${host}/job-take/$ID?pod=$RUNPOD_POD_ID`,
      doneTemplate: `${host}/job-done/$RUNPOD_POD_ID/$ID`,
      workerId: 'w',
    });
    expect(urls.take(1, false)).toBe(`${host}/job-take/w?pod=w&job_in_progress=0`);
    expect(urls.take(4, true)).toBe(`${host}/job-take-batch/w?pod=w&batch_size=4&job_in_progress=1`);
    expect(urls.stop).toBe(`${host}/job-stop/w?pod=w`);
    expect(urls.done('j')).toBe(`${host}/job-done/w/j?isStream=false`);
  });

  it('an id that would change the address is encoded', () => {
    const urls = buildUrls({ takeTemplate: `${host}/t/$ID`, doneTemplate: `${host}/job-done/w/$ID`, workerId: 'w' });
    expect(urls.done('a/../b?c#d')).toBe(`${host}/job-done/w/a%2F..%2Fb%3Fc%23d?isStream=false`);
  });

  it('there is no ping address without key, pod id and template', () => {
    const whole = {
      takeTemplate: '',
      doneTemplate: '',
      pingTemplate: `${host}/ping/$RUNPOD_POD_ID`,
      apiKey: 'key',
      podId: 'pod',
      workerId: 'pod',
      hostname: 'h',
      pingIntervalMs: 1_000,
      reportedVersion: '1',
      userAgent: 'u',
    };
    expect(pingBaseUrl(whole)).toBe(`${host}/ping/pod`);
    const { apiKey: _key, ...withoutKey } = whole;
    const { podId: _pod, ...withoutPod } = whole;
    const { pingTemplate: _template, ...withoutTemplate } = whole;
    expect([withoutKey, withoutPod, withoutTemplate].map(pingBaseUrl)).toEqual([undefined, undefined, undefined]);
  });
});
