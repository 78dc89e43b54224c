// The same for three shells. Chains are asked for at the API, and are none if it does not answer.
import type { Place } from "./completion.ts";

const LIST_CHAINS = `chain list -o json 2>/dev/null </dev/null | sed -n 's/^    "chain": "\\([a-z0-9-]*\\)",*$/\\1/p'`;

const withChains = (places: readonly Place[]) => places.filter(({ takesChains }) => takesChains);
const quote = (words: readonly string[]) => `'${words.join(" ")}'`;

function tableOf(
  places: readonly Place[],
  words: (place: Place) => readonly string[],
  entry: (path: string) => string,
) {
  const rows = places.map((place) => [place.path, words(place)] as const).filter(([, found]) => found.length > 0);
  return rows.map(([path, found]) => `  ${entry(path)}${quote(found)}`).join("\n");
}

export function bashScript(places: readonly Place[]): string {
  const key = (path: string) => `['${path}']=`;
  return `# source <(sluice completion bash)
declare -A _sluice_commands=(
${tableOf(places, ({ commands }) => commands, key)}
)
declare -A _sluice_options=(
${tableOf(places, ({ options }) => options, key)}
)
declare -A _sluice_valued=(
${tableOf(places, ({ valued }) => valued, key)}
)
declare -A _sluice_chains=(
${tableOf(withChains(places), () => ["yes"], key)}
)
_sluice() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}" path=sluice word index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    [[ " \${_sluice_commands[$path]} " == *" $word "* ]] && path="$path $word"
  done
  COMPREPLY=()
  if [[ "$before" == --chain ]]; then
    COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" ${LIST_CHAINS})" -- "$current"))
    return
  fi
  [[ "$before" == -* && " \${_sluice_valued[$path]} " == *" $before "* ]] && return
  if [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "\${_sluice_options[$path]}" -- "$current"))
  elif [[ -n "\${_sluice_commands[$path]}" ]]; then
    COMPREPLY=($(compgen -W "\${_sluice_commands[$path]}" -- "$current"))
  elif [[ -n "\${_sluice_chains[$path]}" ]]; then
    COMPREPLY=($(compgen -W "$("\${COMP_WORDS[0]}" ${LIST_CHAINS})" -- "$current"))
  fi
}
complete -o default -F _sluice sluice ./sluice
`;
}

export function zshScript(places: readonly Place[]): string {
  const key = (path: string) => `'${path}' `;
  return `#compdef sluice
# source <(sluice completion zsh)
typeset -gA _sluice_commands _sluice_options _sluice_valued _sluice_chains
_sluice_commands=(
${tableOf(places, ({ commands }) => commands, key)}
)
_sluice_options=(
${tableOf(places, ({ options }) => options, key)}
)
_sluice_valued=(
${tableOf(places, ({ valued }) => valued, key)}
)
_sluice_chains=(
${tableOf(withChains(places), () => ["yes"], key)}
)
_sluice() {
  local current="\${words[CURRENT]}" before="\${words[CURRENT-1]}" place=sluice word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ " \${_sluice_commands[$place]} " == *" $word "* ]] && place="$place $word"
  done
  if [[ "$before" == -* && " \${_sluice_valued[$place]} " == *" $before "* ]]; then
    _files
  elif [[ "$current" == -* ]]; then
    compadd -- \${=_sluice_options[$place]}
  elif [[ -n "\${_sluice_commands[$place]}" ]]; then
    compadd -- \${=_sluice_commands[$place]}
  elif [[ -n "\${_sluice_chains[$place]}" ]]; then
    compadd -- \${(f)"$(\${words[1]} ${LIST_CHAINS})"}
  else
    _files
  fi
}
compdef _sluice sluice
`;
}

export function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, commands, options, takesChains }) => {
    const at = `complete -c sluice -n '__sluice_at ${path}'`;
    const offered = options.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
    return [
      ...(commands.length > 0 ? [`${at} -f -a '${commands.join(" ")}'`] : []),
      ...(takesChains ? [`${at} -f -a '(__sluice_chains)'`] : []),
      ...offered.map((option) => `${at} ${option}`),
    ];
  });
  const known = places.filter(({ path }) => path !== "sluice").map(({ path }) => `'${path}'`);
  return `# sluice completion fish | source
function __sluice_at
  set -l place sluice
  for word in (commandline -opc)[2..-1]
    contains -- "$place $word" ${known.join(" ")}; and set place "$place $word"
  end
  test "$place" = "$argv"
end
function __sluice_chains
  sluice ${LIST_CHAINS}
end
${lines.join("\n")}
`;
}
