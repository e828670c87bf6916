// Typed and architectural rules only; Biome formats and does the rest.
// The import directions of docs/architecture.md are enforced here and, across the whole graph, by test/unit/import-directions.test.ts.
import tseslint from 'typescript-eslint';

const restrictedGlobals = [{ name: 'fetch', message: 'Use undici through the folder that owns the connection.' }];

/** Patterns a folder must not import; relative paths are matched by their tail. */
function forbid(folders, message) {
  return folders.map((folder) => ({ regex: `(^|/)\\.\\./(.*/)?${folder}/`, message }));
}

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'node_modules/**',
      'coverage/**',
      '.cache/**',
      'test/fixtures/**',
      'scripts/**/*.mjs',
      'bin/**',
      '*.config.js',
    ],
  },
  {
    files: ['**/*.ts'],
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@typescript-eslint': tseslint.plugin },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: { arguments: false } }],
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-explicit-any': 'error',
      'max-lines': ['error', { max: 400, skipBlankLines: false, skipComments: false }],
      'no-restricted-globals': ['error', ...restrictedGlobals],
    },
  },
  {
    files: ['shared/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { regex: '^node:', message: 'shared/ is pure: it runs in a browser too.' },
            ...forbid(['worker', 'client', 'sandbox'], 'shared/ imports nobody.'),
          ],
        },
      ],
    },
  },
  {
    files: ['sandbox/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: forbid(
            ['worker', 'client'],
            'sandbox/ imports shared/ only: two independent readings of the protocol are the point.',
          ),
        },
      ],
    },
  },
  {
    files: ['worker/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: forbid(['client', 'sandbox'], 'worker/ imports shared/ only.') }],
    },
  },
  {
    files: ['client/**/*.ts'],
    ignores: [
      'client/cli/commands/dev.ts',
      'client/cli/commands/worker.ts',
      'client/cli/local-stack.ts',
      'client/cli/model-files.ts',
    ],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: forbid(
            ['worker', 'sandbox'],
            "Only the CLI's local stack joins the client with the worker and the sandbox.",
          ),
        },
      ],
    },
  },
);
