#include "cli/eval_tasks.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/common.hpp"
#include "eval/task_file.hpp"
#include "eval/multiple_choice.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

using namespace infer;
using nlohmann::ordered_json;

ordered_json to_json(const TaskArgs& args, const Accuracy& found, const std::vector<TaskResult>& results,
                     double seconds) {
  ordered_json out{{"model", args.model},
                   {"task", args.name},
                   {"file", args.file},
                   {"tasks", found.tasks},
                   {"right", found.right},
                   {"accuracy", {{"value", found.value}, {"error", found.error}}},
                   {"interval_95", {found.low, found.high}},
                   {"by_chance", found.by_chance},
                   {"seconds", seconds}};
  out["results"] = ordered_json::array();
  for (const TaskResult& result : results)
    out["results"].push_back({{"chosen", result.chosen}, {"right", result.right}, {"scores", result.scores}});
  return out;
}

std::string to_table(const TaskArgs& args, const Accuracy& found, double seconds) {
  char figures[160];
  std::snprintf(figures, sizeof figures,
                "  right answers (%%)                 %.2f ± %.2f, 95 %% within %.2f to %.2f\n"
                "  by chance (%%)                     %.2f\n",
                100 * found.value, 100 * found.error, 100 * found.low, 100 * found.high,
                100 * found.by_chance);
  return str(args.model, " at ", args.name, "\n  ", found.right, " right of ", found.tasks, " tasks in ",
             show_duration(seconds), "\n", figures);
}

}  // namespace

void evaluate_tasks(const TaskArgs& args) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Task> tasks = read_tasks(args.file, args.most);
  const Model model{open_model(args.model)};
  const Tokenizer tokenizer{model.source()};
  std::vector<TaskTokens> tokens;
  size_t longest = 0;
  for (const Task& task : tasks)
    longest = std::max(longest, tokens.emplace_back(tokenize_task(tokenizer, task)).longest());
  if (const int64_t trained = model.hparams().context; trained > 0 && static_cast<int64_t>(longest) > trained)
    log_line(str("the longest task has ", longest, " tokens, more than the context of ", trained,
               " that the model was trained for"));
  SessionOptions options = args.session;
  options.context = static_cast<int64_t>(longest);
  Session session{model, options};
  std::vector<TaskResult> results;
  {
    Progress progress{"answering", static_cast<int64_t>(tasks.size()), Progress::Unit::items};
    for (size_t i = 0; i < tasks.size(); ++i) {
      results.push_back(score_task(session, tokens[i], tasks[i].right));
      progress.advance(1, str("task ", i + 1, " of ", tasks.size()));
    }
  }
  const Accuracy found = accuracy(results);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_out(
      args.json
          ? to_json(args, found, results, seconds).dump(2, ' ', false, ordered_json::error_handler_t::replace)
          : to_table(args, found, seconds));
}

}  // namespace snug::cli
