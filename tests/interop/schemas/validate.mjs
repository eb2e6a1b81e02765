// Validates AsyncAPI documents, one path each; says what is wrong with them and exits 1.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const errors = [];
for (const path of process.argv.slice(2)) {
  const { document, diagnostics } = await new Parser().parse(await readFile(path, "utf-8"));
  errors.push(...diagnostics.filter(({ severity }) => severity === 0).map(({ message, path }) => [message, path]));
  if (document) console.log(document.version(), document.channels().length, document.operations().length, document.allMessages().length);
  else errors.push([`${path} is no document`]);
}
if (errors.length) console.error(JSON.stringify(errors, null, 1));
process.exitCode = errors.length ? 1 : 0;
