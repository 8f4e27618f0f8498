// Conversations encoded message by message against mistral-common's own ids, exactly.
import { test } from "uvu";
import * as assert from "uvu/assert";
import { InputError } from "../../src/errors.ts";
import type { ChatMessage } from "../../src/text/chat_template.ts";
import { loadTokenizer } from "../../src/text/load_tokenizer.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { fixture, hasFixture, json } from "../fixtures.ts";
import { repositoryAt } from "../repositories.ts";

const load = async (name: string): Promise<Tokenizer> =>
  loadTokenizer(await repositoryAt(fixture(`tokenizers/${name}`)));

/** The ids, or the message of an InputError. */
function outcome(tokenizer: Tokenizer, messages: ChatMessage[], options: object): number[] | string {
  try {
    return tokenizer.encode_messages(messages, options);
  } catch (error) {
    assert.instance(error, InputError, (error as Error).stack);
    return (error as Error).message;
  }
}

if (!hasFixture("tokenizers/mixtral_v3")) console.log("# tokenizers/mixtral_v3 is not among the copied fixtures");
else
  test("v1, v2, v3 of SentencePiece", async () => {
    const { conversations, tools, cases } = json("tokenizers/mixtral_v3/chat.json");
    assert.is(cases.length, 64);
    const sources: Record<string, Tokenizer[]> = {
      v1: [await load("mixtral/tokenizer.model"), await load("mixtral/tokenizer_metaspace.json")],
      v2: [await load("mixtral_v3/tokenizer_v2.model"), await load("mixtral_v3/tokenizer_v2.json")],
      v3: [
        await load("mixtral_v3/tokenizer_v3.model"),
        await load("mixtral_v3/tokenizer_v3.json"),
        await load("mixtral_v3/vocab_v3.gguf"),
      ],
    };
    let [equal, refused, lenient] = [0, 0, 0];
    for (const c of cases)
      for (const [version, tokenizers] of Object.entries(sources))
        for (const tokenizer of tokenizers) {
          const given = conversations[c.conversation];
          const messages = Array.isArray(given) ? given : given.messages;
          const got = outcome(tokenizer, messages, { tools: c.tools && tools[c.tools] });
          const { ids, error, message } = c[version];
          const where = `${version} ${c.conversation}, tools ${c.tools}: ${got}`;
          if (ids) {
            assert.equal(got, ids, where);
            equal++;
          } else if (typeof got === "string") refused++;
          else {
            lenient++;
            console.log("#", where, error, message);
          }
        }
    console.log(`# ${equal} equal, ${refused} refused by both, ${lenient} refused by mistral-common alone`);
  });

test.run();
