import { defineConfig } from 'vitest/config';

/** Where CI wants the counts as JSON. */
const jsonReport = process.env['VITEST_JSON'];

/** The tests that drive the image with a real Docker Engine: `npm run test:containers`. */
export default defineConfig({
  test: {
    include: ['test/containers/**/*.test.ts'],
    globalSetup: ['test/containers/support/global-setup.ts'],
    // Ryuk, which cleans up after testcontainers, is an image of a registry; every test here removes what it made.
    env: { TESTCONTAINERS_RYUK_DISABLED: 'true' },
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 180_000,
    retry: process.env['CI'] ? 1 : 0,
    reporters: jsonReport ? ['default', ['json', { outputFile: jsonReport }]] : ['verbose'],
  },
});
