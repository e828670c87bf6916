/**
 * Shell completion, made from the commands themselves, so that it can't fall behind them. The scripts know commands, flags and the values of
 * flags with fixed choices; where a path is expected the shell completes files. They are static: no program is started while somebody types.
 */
import type { Command, Option } from 'commander';

/** Shells that there is a script for. */
export const completionShells = ['bash', 'zsh', 'fish'] as const;
export type CompletionShell = (typeof completionShells)[number];

interface CompletableFlag {
  /** As typed: `--out`, `-o`. */
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

interface CompletableCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletableFlag[];
}

/** The script for `shell`. Written for `program`, whose name is what a person types. */
export function completionScript(program: Command, shell: CompletionShell): string {
  const commands = leaves(program);
  if (shell === 'bash') return bash(program.name(), commands);
  return shell === 'zsh' ? zsh(program.name(), commands) : fish(program.name(), commands);
}

/** Commands and, as `models plan`, their sub-commands. */
function leaves(program: Command, prefix = ''): CompletableCommand[] {
  return program.commands.flatMap((command) => {
    const name = `${prefix}${command.name()}`;
    const own = { name, description: firstLine(command.description()), flags: command.options.map(flagOf) };
    return [own, ...leaves(command, `${name} `)];
  });
}

function flagOf(option: Option): CompletableFlag {
  return {
    names: [option.short, option.long].filter((name) => name !== undefined && name !== null),
    description: firstLine(option.description),
    takesValue: option.required || option.optional,
    choices: option.argChoices ?? [],
  };
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').replace(/['"`$\\[\]:]/g, '');
}

function identifier(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, '_');
}

function bash(name: string, commands: readonly CompletableCommand[]): string {
  const top = commands.filter((command) => !command.name.includes(' '));
  const flagCases = commands.map(
    (command) => `    '${command.name}') flags='${command.flags.flatMap((flag) => flag.names).join(' ')}' ;;`,
  );
  const choiceCases = commands.flatMap((command) =>
    command.flags
      .filter((flag) => flag.choices.length > 0)
      .map(
        (flag) =>
          `    ${flag.names.map((flagName) => `'${command.name} ${flagName}'`).join('|')}) COMPREPLY=($(compgen -W '${flag.choices.join(' ')}' -- "$word")); return ;;`,
      ),
  );
  const subCases = top
    .map((command) => ({ command, subs: commands.filter((other) => other.name.startsWith(`${command.name} `)) }))
    .filter(({ subs }) => subs.length > 0)
    .map(
      ({ command, subs }) =>
        `    '${command.name}') words='${subs.map((sub) => sub.name.slice(command.name.length + 1)).join(' ')}' ;;`,
    );
  return `# bash completion of ${name}: eval "$(${name} completion bash)"
_${identifier(name)}() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} flags='' words=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${top.map((command) => command.name).join(' ')} --help --version' -- "$word"))
    return
  fi
  case "$command" in
${subCases.join('\n') || "    '') ;;"}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "$words --help" -- "$word")); return; fi
    command="$command \${COMP_WORDS[2]}"
  fi
  case "$command $before" in
${choiceCases.join('\n') || "    '') ;;"}
  esac
  case "$command" in
${flagCases.join('\n')}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags --help" -- "$word")) ;;
    *) compopt -o default 2>/dev/null ;;
  esac
}
complete -F _${identifier(name)} ${name}
`;
}

function zsh(name: string, commands: readonly CompletableCommand[]): string {
  const top = commands.filter((command) => !command.name.includes(' '));
  const described = top.map((command) => `    '${command.name}:${command.description}'`).join('\n');
  const cases = top.map((command) => {
    const subs = commands.filter((other) => other.name.startsWith(`${command.name} `));
    const flags = [...command.flags, ...subs.flatMap((sub) => sub.flags)];
    const subWords = subs.length > 0 ? [`'1:what:(${subs.map((sub) => sub.name.split(' ')[1]).join(' ')})'`] : [];
    const args = [...flags.flatMap(zshFlag), ...subWords, "'*:file:_files'"];
    return `    ${command.name}) _arguments ${args.join(' ')} ;;`;
  });
  return `#compdef ${name}
# zsh completion of ${name}: ${name} completion zsh > "\${fpath[1]}/_${name}"
_${identifier(name)}() {
  local -a commands
  commands=(
${described}
  )
  if (( CURRENT == 2 )); then _describe 'command' commands; return; fi
  local chosen=\${words[2]}
  words=("\${words[@]:1}"); (( CURRENT-- ))
  case $chosen in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = "_${name}" ]; then _${identifier(name)} "$@"; else compdef _${identifier(name)} ${name}; fi
`;
}

function zshFlag(flag: CompletableFlag): string[] {
  const value = flag.takesValue ? `:value:${flag.choices.length > 0 ? `(${flag.choices.join(' ')})` : '_files'}` : '';
  return flag.names.map((flagName) => `'*${flagName}[${flag.description}]${value}'`);
}

function fish(name: string, commands: readonly CompletableCommand[]): string {
  const top = commands.filter((command) => !command.name.includes(' '));
  const lines = top.map(
    (command) => `complete -c ${name} -f -n __fish_use_subcommand -a ${command.name} -d '${command.description}'`,
  );
  for (const command of commands) {
    const [first = '', second] = command.name.split(' ');
    const seen = `__fish_seen_subcommand_from ${first}`;
    if (second !== undefined) {
      lines.push(`complete -c ${name} -f -n '${seen}' -a ${second} -d '${command.description}'`);
    }
    const condition = second === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${second}`;
    for (const flag of command.flags) lines.push(`complete -c ${name} -n '${condition}' ${fishFlag(flag)}`);
  }
  return `# fish completion of ${name}: ${name} completion fish > ~/.config/fish/completions/${name}.fish\n${lines.join('\n')}\n`;
}

function fishFlag(flag: CompletableFlag): string {
  const names = flag.names.map((flagName) =>
    flagName.startsWith('--') ? `-l ${flagName.slice(2)}` : `-s ${flagName.slice(1)}`,
  );
  const choices = flag.choices.length > 0 ? `-x -a '${flag.choices.join(' ')}'` : '';
  return [...names, flag.takesValue && choices === '' ? '-r' : choices, `-d '${flag.description}'`]
    .filter((part) => part !== '')
    .join(' ');
}
