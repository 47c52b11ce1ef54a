#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files/file_kind.hpp"
#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/time_of_day.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "fit/progress/job_status.hpp"
#include "fit/progress/kept_jobs.hpp"
#include "fit/measurement_files.hpp"
#include "fit/measurements.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"

namespace snug::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Args {
  CommonArgs common;
  std::string source;
};

struct Job {
  fs::path state;  // none of work that has no state of its own
  JobStatus status;
  Process process{};
};

std::string clock_of(int64_t seconds) { return local_time(seconds, "%Y-%m-%d %H:%M:%S"); }

/// Running by its own word, and in truth.
std::string_view phase_of(const Job& job) {
  if (job.status.phase == JobStatus::Phase::finished) return "finished";
  if (job.status.phase == JobStatus::Phase::stopped) return "stopped";
  return job.process == Process::is_gone ? "killed" : job.process == Process::runs ? "running" : "running elsewhere";
}

/// Whether what was done is kept in a state, its own or one that was named.
bool goes_on(const Job& job) {
  constexpr std::string_view kKeep[] = {"measure", "imatrix", "plan"};
  return !job.state.empty() || std::ranges::find(kKeep, job.status.command) != std::end(kKeep);
}

std::string percent(double share) { return str(static_cast<int>(100 * share), " %"); }

std::string text_of(const Job& job) {
  const JobStatus& s = job.status;
  const std::string_view phase = phase_of(job);
  const bool runs = phase.starts_with("running"), knows_all = s.overall >= 0;
  const std::string left = runs && s.seconds_left >= 0 ? str(", about ", show_duration(s.seconds_left), " left") : "";
  std::string text = str(job.state.empty() ? s.command : job.state.string(), ": ", phase);
  if (knows_all) text += str(", ", percent(s.overall), left);
  text += str("\n  ", printable(s.model), s.output.empty() ? "" : str(" to ", printable(s.output)),
              s.sizes > 1 ? str(", size ", s.size, " of ", s.sizes) : "");
  if (!s.stage.empty() && phase != "finished")
    text += str("\n  ", printable(s.stage), ", ", percent(s.stage_share), knows_all ? "" : left);
  text += str("\n  process ", s.process, " on ", printable(s.host), ", begun ", clock_of(s.started), ", last word ",
              clock_of(s.updated), runs ? str(" (", show_duration(static_cast<double>(now_in_seconds() - s.updated)), " ago)") : "");
  if (!s.error.empty()) text += str("\n  ", printable(s.error));
  if ((phase == "stopped" || phase == "killed") && goes_on(job)) text += "\n  the same command goes on where it was";
  return text + "\n";
}

Json json_of(const Job& job) {
  const JobStatus& s = job.status;
  Json json{{"command", s.command}, {"state", nullptr},     {"phase", phase_of(job)}, {"overall", nullptr},
            {"seconds_left", nullptr}, {"stage", s.stage},  {"stage_share", s.stage_share},
            {"size", s.size},       {"sizes", s.sizes},     {"model", s.model},       {"output", s.output},
            {"folder", s.folder},   {"process", s.process}, {"host", s.host},         {"started", s.started},
            {"updated", s.updated}, {"error", s.error}};
  if (!job.state.empty()) json["state"] = job.state.string();
  if (s.overall >= 0) json["overall"] = s.overall;
  if (s.seconds_left >= 0) json["seconds_left"] = s.seconds_left;
  return json;
}

std::optional<Job> job_of(const fs::path& state) {
  const auto status = read_status(state);
  if (!status) return std::nullopt;
  return Job{state, *status, process_of(*status)};
}

/// Of the work that has no state of its own.
std::vector<Job> stateless_jobs() {
  std::vector<Job> jobs;
  for (const fs::path& place : job_places())
    if (const auto status = read_status(place)) jobs.push_back({{}, *status, process_of(*status)});
  return jobs;
}

bool is_of(const JobStatus& status, const fs::path& model) {
  if (status.model.empty()) return false;  // of none, such as imatrix files that are merged
  std::error_code unknown;
  return fs::equivalent(fs::path{status.folder} / status.model, model, unknown);
}

/// Of a state, or of the model that it is of.
std::vector<Job> named_jobs(const std::string& source) {
  std::error_code unknown;
  std::vector<Job> jobs;
  fs::path state = source;
  if (fs::exists(source, unknown) && file_kind(source) != FileKind::state) {
    jobs = stateless_jobs();
    std::erase_if(jobs, [&](const Job& job) { return !is_of(job.status, source); });
    state = existing_measurements(open_model(source), ".").value_or(source);
  }
  if (auto job = job_of(state)) jobs.push_back(*std::move(job));
  if (!jobs.empty()) return jobs;
  throw Error{"nothing has worked on it, or nothing of this version", state.string(),
              "name a state or a model; without one, all in the one place for measurements are shown"};
}

std::vector<Job> all_jobs() {
  std::vector<Job> jobs = stateless_jobs();
  const auto folder = measurement_folder();
  if (!folder) return jobs;
  for (const KeptModel& model : kept_models(*folder))
    for (const fs::path& state : model.states)
      if (auto job = job_of(state)) jobs.push_back(*std::move(job));
  return jobs;
}

int run(const Args& args) {
  args.common.apply();
  std::vector<Job> jobs = args.source.empty() ? all_jobs() : named_jobs(args.source);
  std::ranges::stable_sort(jobs, std::ranges::greater{}, [](const Job& job) { return job.status.updated; });
  Json document = Json::array();
  std::string text;
  for (const Job& job : jobs) {
    document.push_back(json_of(job));
    text += text_of(job);
  }
  if (args.common.json)
    print_out(json_text(Json{{"jobs", document}}, 2));
  else
    print_out(text.empty() ? "nothing has worked here yet\n" : text);
  return 0;
}

}  // namespace

void add_status(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<Args>();
  auto* command = app.add_subcommand("status", "how far a fit or other long work is, or where it was stopped, from another terminal");
  command->add_option("source", args->source,
                      "a state, or a model (default: all in the one place for measurements)");
  args->common.add_to(*command);
  command->footer("Examples:\n  snug status\n  snug status model-f16.gguf --json\n  watch snug status model.snug-state");
  command->callback([args, &exit_code] { exit_code = guarded([&] { return run(*args); }); });
}

}  // namespace snug::cli
