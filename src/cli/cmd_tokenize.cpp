#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "snug/model.hpp"

namespace snug::cli {
namespace {

struct TokenizeArgs {
  CommonArgs common;
  std::string model, file;
  bool bare = false, special = false;
};

int run_tokenize(const TokenizeArgs& args) {
  args.common.apply();
  const ModelSource model = open_model(args.model);
  const infer::Tokenizer tokenizer{model};
  const std::vector<int32_t> ids = tokenizer.encode(text_named(args.file), !args.bare, args.special);
  if (args.common.json) {
    print_out(nlohmann::json(ids).dump());
    return 0;
  }
  std::string lines;
  for (const int32_t id : ids) lines += str(id, "\t", printable(tokenizer.piece(id, true)), "\n");
  if (!lines.empty()) print_out(lines);
  return 0;
}

}  // namespace

void add_tokenize(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<TokenizeArgs>();
  auto* command = app.add_subcommand("tokenize", "show the tokens a text becomes");
  command->add_option("MODEL", args->model, "GGUF file; its tensors are not read")->required();
  command->add_option("FILE", args->file, "text of any bytes; - is standard input")->required();
  command->add_flag("--bare", args->bare,
                    "no BOS in front and no EOS behind, even where the model wants them");
  command->add_flag("--special", args->special, "control tokens written in the text become those tokens");
  args->common.add_to(*command);
  command->footer("With --json an array of ids, without it an id and its text a line.\n"
                  "Examples:\n"
                  "  snug tokenize model.gguf text.txt\n"
                  "  echo 'Once upon a time' | snug tokenize model.gguf - --json");
  command->callback(
      [args, &exit_code] { exit_code = guarded([&] { return run_tokenize(*args); }, Keeps::nothing); });
}

}  // namespace snug::cli
