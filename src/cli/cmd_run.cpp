#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>

#include "base/events.hpp"
#include "base/files/mapped_file.hpp"
#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "base/memory.hpp"
#include "base/printable.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "cli/options/whole_number.hpp"
#include "cli/terminal/typed_lines.hpp"
#include "infer/model.hpp"
#include "infer/session.hpp"
#include "infer/text/chat_template.hpp"
#include "infer/text/generate.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "infer/tokenizer/utf8.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

using infer::ChatTemplate;
using infer::FinishReason;
using infer::Generation;
using infer::Message;
using infer::Role;

constexpr int64_t kMinContext = 512;  // that is tried where memory is short

struct RunArgs {
  CommonArgs common;
  std::string model, prompt, file, system, chat_template;
  bool chat = false, greedy = false, exact = false, no_repack = false, has_prompt = false;
  int64_t context = 0;
  std::string cache_type;
  int64_t seed = -1;
  infer::SamplerOptions sampling;
  infer::GenerateOptions generation;
};

/// A template by its name or from a file.
ChatTemplate named_template(const std::string& name) {
  const bool known = std::ranges::count(ChatTemplate::built_in_names(), name) > 0;
  if (known || !std::filesystem::is_regular_file(name)) return ChatTemplate::built_in(name);
  return {read_file(name), str("the chat template ", name)};
}

ChatTemplate template_for(const RunArgs& args, const ModelSource& model) {
  if (!args.chat_template.empty()) return named_template(args.chat_template);
  if (const auto own = model.metadata().text("tokenizer.chat_template"); own && !own->empty())
    return {std::string{*own}, "the model's chat template"};
  if (!args.common.quiet)
    std::fprintf(
        stderr,
        "snug: the model has no chat template; chatting as ChatML does (--chat-template names another)\n");
  return ChatTemplate::built_in("chatml");
}

infer::SessionOptions session_of(const RunArgs& args, int64_t context) {
  return {.context = context,
          .cache = cache_format_of(args.cache_type, FormatId::f16),
          .compute = args.exact ? infer::Compute::exact : infer::Compute::fast};
}

/// What the model was trained for, unless that would take most of the memory.
int64_t usual_context(const RunArgs& args, const infer::Model& model) {
  const int64_t trained = model.hparams().context, memory = memory_for(MemoryUse::context);
  int64_t context = std::min(trained, infer::kLongestContext);
  while (context > kMinContext && infer::Session::cache_bytes(model, session_of(args, context)) > memory)
    context /= 2;
  if (context < trained)
    log_line(str("a context of ", context, " tokens, for memory's sake; the model was trained for ", trained,
                 " (--ctx)"));
  return context;
}

int64_t context_for(const RunArgs& args, const infer::Model& model) {
  const int64_t trained = model.hparams().context;
  if (args.context == 0) return usual_context(args, model);
  if (trained > 0 && args.context > trained)
    throw Error{str("a context of ", args.context, " tokens is longer than the model's"), args.model,
                str("it was trained for ", trained, "; give --ctx ", trained, " or less"), Fault::usage};
  return args.context;
}

infer::SamplerOptions sampling_of(const RunArgs& args) {
  infer::SamplerOptions options = args.sampling;
  if (args.greedy) options.temperature = 0;
  options.source = args.model;
  options.seed = args.seed >= 0 ? static_cast<uint64_t>(args.seed) : std::random_device{}();
  return options;
}

/// A model in talk: keeps what the session has seen, so that a conversation only adds to it.
class ChatSession {
 public:
  ChatSession(const RunArgs& args, const ModelSource& model)
      : args_{args},
        model_{model},
        tokenizer_{model_.source()},
        session_{model_, session_of(args, context_for(args, model_))},
        sampler_{sampling_of(args), tokenizer_.suppressed()} {
    prepare_weights(model_, !args.exact && !args.no_repack, session_.memory_bytes(), "for every token");
  }

  infer::ChatTokens chat_tokens() const {
    const auto text = [&](int32_t id) {
      return id < 0 ? std::string{} : std::string{tokenizer_.vocabulary().text(id)};
    };
    return {text(tokenizer_.bos()), text(tokenizer_.eos()), tokenizer_.adds_bos(), tokenizer_.adds_eos()};
  }

  /// `echo` is shown in front of the answer, once the text is known to fit.
  Generation say(const std::string& text, bool parse_special, const std::string& echo = {}) {
    std::vector<int32_t> tokens = tokenizer_.encode(text, true, parse_special);
    if (tokenizer_.adds_eos() && !tokens.empty()) tokens.pop_back();  // the text is to go on
    const bool goes_on =
        tokens.size() > seen_.size() && std::equal(seen_.begin(), seen_.end(), tokens.begin());
    if (!goes_on) {
      session_.reset();
      seen_.clear();
    }
    const auto fresh = std::span{tokens}.subspan(seen_.size());
    infer::check_prompt(session_, tokenizer_, fresh);
    show(echo);
    Generation out = answer(fresh, !echo.empty());
    prompt_tokens_ = static_cast<int64_t>(tokens.size());
    seen_ = std::move(tokens);
    seen_.insert(seen_.end(), out.tokens.begin(), out.tokens.end());
    seen_.resize(std::min(seen_.size(), static_cast<size_t>(session_.position())));
    return out;
  }

  /// Closes an answer: its line, its JSON, why it ended.
  int report(const Generation& answer) const {
    const std::string why{infer::name_of(answer.ended)};
    if (args_.common.json)
      print_out(json_text(nlohmann::json{{"text", answer.text},
                                         {"tokens", answer.tokens},
                                         {"prompt_tokens", prompt_tokens_},
                                         {"ended", why}}));
    else
      print_out("");
    if (answer.ended == FinishReason::context_full && !args_.common.quiet)
      std::fprintf(stderr, "snug: the context of %lld tokens is full\n",
                   static_cast<long long>(session_.context()));
    return answer.ended == FinishReason::interrupted ? static_cast<int>(Fault::interrupted) : 0;
  }

 private:
  /// A pipe gets the bytes; a terminal would obey escape sequences that a model says.
  void show(std::string_view text) const {
    if (args_.common.json) return;
    const std::string safe = terminal_ ? terminal_text(text) : std::string{text};
    if (std::fwrite(safe.data(), 1, safe.size(), stdout) != safe.size() || std::fflush(stdout) != 0)
      throw io_error("write to standard output", "stdout");
  }

  Generation answer(std::span<const int32_t> tokens, bool behind_text) {
    try {
      return infer::generate(session_, tokenizer_, sampler_, tokens, args_.generation,
                             [&](std::string_view t) { show(t); });
    } catch (const Error&) {
      if (behind_text) show("\n");
      throw;
    }
  }

  const RunArgs& args_;
  infer::Model model_;
  infer::Tokenizer tokenizer_;
  infer::Session session_;
  infer::Sampler sampler_;
  const bool terminal_ = isatty(STDOUT_FILENO) == 1;
  std::vector<int32_t> seen_;  // in the session
  int64_t prompt_tokens_ = 0;
};

/// A conversation: one answer where a prompt is given, else a line of standard input each turn.
int chat(const RunArgs& args, ChatSession& talk, const ChatTemplate& form, const std::string& prompt) {
  std::vector<Message> messages;
  if (!args.system.empty()) messages.push_back({Role::system, args.system});
  TypedLines lines;
  for (std::string line = prompt;;) {
    if (!args.has_prompt) {
      if (!args.common.quiet) std::fprintf(stderr, "> ");
      if (!lines.next(line)) return cancelled() ? static_cast<int>(Fault::interrupted) : 0;
    }
    messages.push_back({Role::user, line});
    const Generation answer = talk.say(form.render(messages, talk.chat_tokens()), true);
    if (const int code = talk.report(answer); code || args.has_prompt) return code;
    messages.push_back({Role::assistant, answer.text});
  }
}

int run(RunArgs args) {
  args.common.apply();
  keep_freed_memory();
  std::string prompt = args.prompt;
  if (!args.file.empty()) prompt = text_named(args.file);
  const ModelSource model = open_model(args.model);
  std::optional<ChatTemplate> form;  // found out before the weights are read
  if (args.chat) form = template_for(args, model);
  ChatSession talk{args, model};
  if (args.chat) return chat(args, talk, *form, prompt);
  if (!args.has_prompt)
    throw Error{"there is no prompt", "", "give -p TEXT or -f FILE, or --chat", Fault::usage};
  return talk.report(talk.say(prompt, false, infer::valid_utf8(prompt)));
}

/// What is shown is UTF-8: anything else could only end it within a character.
CLI::Validator is_utf8() {
  const auto check = [](const std::string& text) {
    return infer::valid_utf8(text) == text ? std::string{} : std::string{"the text is not UTF-8"};
  };
  return CLI::Validator{check, ""};
}

void add_sampling(CLI::App& command, RunArgs& args) {
  command.add_option("--temp", args.sampling.temperature, "temperature; 0 takes the likeliest token")
      ->capture_default_str();
  command.add_option("--top-k", args.sampling.top_k, "keep so many of the likeliest tokens; 0: all")
      ->capture_default_str();
  command.add_option("--top-p", args.sampling.top_p, "keep the likeliest tokens up to this share; 1: all")
      ->capture_default_str();
  command.add_option("--min-p", args.sampling.min_p, "keep tokens this likely beside the likeliest; 0: all")
      ->capture_default_str();
  command.add_flag("--greedy", args.greedy, "the likeliest token always, as --temp 0");
  command.add_option("--seed", args.seed, "same seed, same text; -1: another each time")
      ->check(at_least(-1))
      ->capture_default_str();
  command.add_option("-n,--tokens", args.generation.max_tokens, "tokens to say at most; -1: no limit")
      ->check(at_least(-1))
      ->capture_default_str();
  command.add_option("--stop", args.generation.stops, "stop at this string (repeatable)")
      ->check(is_utf8())
      ->take_all()
      ->allow_extra_args(false);
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<RunArgs>();
  auto* command = app.add_subcommand("run", "generate text from a prompt, or chat");
  command->add_option("MODEL", args->model, "GGUF file (of a split model the first)")->required();
  auto* prompt =
      command->add_option("-p,--prompt", args->prompt, "the text to go on from; with --chat, what to answer");
  auto* file =
      command->add_option("-f,--file", args->file, "the same from a file or pipe; - is standard input")
          ->type_name("FILE")
          ->excludes(prompt);
  auto* chat = command->add_flag("--chat", args->chat,
                                 "use the model's chat template; without -p, one turn per line of stdin");
  command->add_option("--system", args->system, "with --chat: what the model is told first")->needs(chat);
  command
      ->add_option(
          "--chat-template", args->chat_template,
          "with --chat: a template other than the model's: a family's name, such as chatml, or a file of "
          "Jinja")
      ->type_name("NAME")
      ->needs(chat);
  command->add_option("--form", args->chat_template, "")->needs(chat)->group("");  // as it was called once
  command->add_option("-c,--ctx", args->context, "tokens of context; 0: as many as the model was trained for")
      ->check(at_least(0))
      ->capture_default_str();
  add_cache_type(*command, args->cache_type);
  command->add_flag("--exact", args->exact,
                    "compute in 32-bit floats in one fixed order: slower, same text anywhere");
  add_no_repack(*command, args->no_repack);
  command->add_flag("--special", args->generation.special, "show control tokens");
  add_sampling(*command, *args);
  args->common.add_to(*command);
  command->footer(
      "Ctrl-C ends the answer, with exit code 4. With --json every answer of a --chat is a document on a "
      "line\n"
      "of its own.\n"
      "Examples:\n"
      "  snug run model.gguf -p \"Once upon a time\" -n 64 --greedy\n"
      "  snug run model.gguf --chat --system \"Be brief.\"");
  command->callback([args, prompt, file, &exit_code] {
    args->has_prompt = prompt->count() > 0 || file->count() > 0;
    exit_code = guarded([&] { return run(*args); }, Keeps::nothing);
  });
}

}  // namespace snug::cli
