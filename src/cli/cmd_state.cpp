#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/json_reader.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/common.hpp"
#include "snug/error.hpp"
#include "snug/state.hpp"

namespace snug::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Args {
  CommonArgs common;
  std::string path, out;
  std::vector<std::filesystem::path> inputs;
  bool force = false;
};

constexpr std::array<std::pair<RecordKind, const char*>, 7> kKinds{{{RecordKind::measurement, "measurement"},
                                                                    {RecordKind::tensor_info, "tensor_info"},
                                                                    {RecordKind::probe, "probe"},
                                                                    {RecordKind::note, "note"},
                                                                    {RecordKind::evaluation, "evaluation"},
                                                                    {RecordKind::sensitivity, "sensitivity"},
                                                                    {RecordKind::comparison, "comparison"}}};

std::string document(const Json& json) {
  return json_text(json, 1);
}

Json to_json(const OpenReport& report) {
  auto damage = Json::array();
  for (const Damage& d : report.damage)
    damage.push_back({{"offset", d.offset}, {"bytes", d.bytes}, {"why", d.why}});
  return {{"bytes", report.bytes},
          {"records", report.records},
          {"superseded", report.superseded},
          {"unknown", report.unknown},
          {"torn_tail_bytes", report.torn_tail_bytes},
          {"damage", damage}};
}

Json to_json(const std::string& path, const Store& store) {
  auto kinds = Json::object();
  for (const auto& [kind, name] : kKinds) kinds[name] = store.count(kind);
  Json json{{"snug_state", 1}, {"path", path}, {"digest", store.contents_digest().hex()}, {"kinds", kinds}};
  json.update(to_json(store.report()));
  return json;
}

/// What is worth saying beside the records: nothing for a store that was closed in peace.
std::string oddities(const OpenReport& report) {
  std::string text;
  if (report.superseded)
    text += str("  superseded: ", show_count(report.superseded), ", until it is compacted\n");
  if (report.unknown)
    text += str("  of a later snug: ", show_count(report.unknown), ", kept and passed over\n");
  if (report.torn_tail_bytes)
    text += str("  unfinished last record: ", report.torn_tail_bytes,
                " bytes, dropped by the next run that writes\n");
  for (const Damage& d : report.damage)
    text += str("  DAMAGED: ", d.bytes, " bytes at offset ", d.offset, ": ", d.why, "\n");
  return text;
}

std::string summary(const std::string& path, const OpenReport& report) {
  return str(path, ": ", show_count(report.records), " records in ", show_size(report.bytes), "\n");
}

int show(const Args& args) {
  const Store store = Store::open(args.path, Access::read);
  if (args.common.json) {
    print_out(document(to_json(args.path, store)));
    return 0;
  }
  std::string text = summary(args.path, store.report());
  for (const auto& [kind, name] : kKinds)
    if (const int64_t count = store.count(kind)) text += str("  ", name, ": ", show_count(count), "\n");
  print_out(str(text, "  digest: ", store.contents_digest().hex(), "\n", oddities(store.report())));
  return 0;
}

int verify_store(const Args& args) {
  const OpenReport report = verify(args.path);
  const bool sound = report.damage.empty();
  if (args.common.json) {
    Json json{{"snug_state", 1}, {"path", args.path}, {"sound", sound}};
    json.update(to_json(report));
    print_out(document(json));
  } else {
    print_out(str(summary(args.path, report), oddities(report), sound ? "  sound\n" : ""));
  }
  return sound ? 0 : static_cast<int>(Fault::bad_input);
}

Json to_json(const std::string& out, const std::vector<std::filesystem::path>& paths,
             const MergeReport& report) {
  auto conflicts = Json::array();
  for (const MergeConflict& c : report.conflicts)
    conflicts.push_back({{"kind", static_cast<int>(c.kind)},
                         {"key", c.key.hex()},
                         {"kept_from", c.kept_from},
                         {"dropped_from", c.dropped_from}});
  auto inputs = Json::array();
  for (size_t i = 0; i < paths.size(); ++i) {
    Json input{{"path", paths[i].string()}};
    input.update(to_json(report.inputs[i]));
    inputs.push_back(input);
  }
  return {{"snug_state", 1},
          {"path", out},
          {"digest", report.contents.hex()},
          {"records", report.records},
          {"bytes", report.bytes},
          {"duplicates", report.duplicates},
          {"unknown", report.unknown},
          {"conflicts", conflicts},
          {"inputs", inputs}};
}

int merge_stores(const Args& args) {
  const MergeReport report =
      merge(args.out, args.inputs, args.force ? Overwrite::replace : Overwrite::refuse);
  if (args.common.json) {
    print_out(document(to_json(args.out, args.inputs, report)));
    return 0;
  }
  std::string text;
  for (size_t i = 0; i < args.inputs.size(); ++i)
    text += summary(args.inputs[i].string(), report.inputs[i]) + oddities(report.inputs[i]);
  text += str(args.out, ": ", show_count(report.records), " records in ", show_size(report.bytes), ", ",
              show_count(report.duplicates),
              " of them in more than one input\n  digest: ", report.contents.hex(), "\n");
  for (const MergeConflict& c : report.conflicts)
    text += str("  CONFLICT: ", c.key.hex(), " of kind ", static_cast<int>(c.kind), ": kept from ",
                c.kept_from, ", dropped from ", c.dropped_from, "\n");
  print_out(text);
  return 0;
}

int compact_store(const Args& args) {
  const CompactReport report = compact(args.path);
  if (args.common.json) {
    print_out(document({{"snug_state", 1},
                        {"path", args.path},
                        {"bytes_after", report.bytes_after},
                        {"before", to_json(report.before)}}));
    return 0;
  }
  print_out(str(summary(args.path, report.before), oddities(report.before), "  now ",
                show_size(report.bytes_after), "\n"));
  return 0;
}

using Work = int (*)(const Args&);

/// A subcommand over one store, or over several of which it makes one.
CLI::App* add_work(CLI::App& parent, int& exit_code, const char* name, const char* help, Work work) {
  auto args = std::make_shared<Args>();
  auto* command = parent.add_subcommand(name, help);
  if (work == merge_stores) {
    command->add_option("inputs", args->inputs, "stores to join")->required();
    command->add_option("-o,--out", args->out, "the store to write")->type_name("FILE")->required();
    command->add_flag("--force", args->force, "replace an existing store; it may be one of the inputs");
  } else {
    command->add_option("store", args->path, "a store of `snug measure` or `snug fit`")->required();
  }
  run_guarded(*command, args, work, exit_code);
  return command;
}

}  // namespace

void add_state(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("state", "show, verify, merge or compact a measurement store");
  command->require_subcommand(1);
  command->footer("Examples:\n  snug state show model.snug-state\n  snug state merge shard-*.state -o model.state");
  add_work(*command, exit_code, "show", "records, sizes and digest", show)
      ->footer("Example:\n  snug state show model.snug-state");
  add_work(*command, exit_code, "verify", "read everything; exit code 1 if anything is damaged", verify_store)
      ->footer("Example:\n  snug state verify model.snug-state");
  add_work(*command, exit_code, "merge", "join the stores of several shards", merge_stores)
      ->footer(
          "Example:\n"
          "  snug state merge shard-*.state -o model.state");
  add_work(*command, exit_code, "compact", "rewrite without damaged and superseded records", compact_store)
      ->footer("Example:\n  snug state compact model.snug-state");
}

}  // namespace snug::cli
