// assemblyscript-prettier without the second blank line that it puts before every decorator.
import plugin from "assemblyscript-prettier";
import { magic } from "assemblyscript-prettier/src/replace.js";

const printer = plugin.printers["as-estree"];

function printComment(path, options) {
  const { value } = path.node;
  const isDecorator = value.startsWith(magic) && value.endsWith(magic);
  return isDecorator ? value.slice(magic.length, -magic.length) : printer.printComment(path, options);
}

export default { ...plugin, printers: { "as-estree": { ...printer, printComment } } };
