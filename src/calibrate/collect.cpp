#include "calibrate/collect.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <utility>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/collect_pass.hpp"
#include "calibrate/head_importance.hpp"
#include "calibrate/moment_inputs.hpp"
#include "imatrix/hessian.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using std::filesystem::path;

constexpr uint64_t kVersion = 2;       // raised when the same text would give other sums
constexpr double kSavingShare = 0.05;  // of the time, at most, goes into saving

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Says when it is time to save again.
class SaveClock {
 public:
  explicit SaveClock(double seconds) : least_(seconds), wait_(seconds) {}
  bool due() const { return seconds_since(last_) >= wait_; }
  void run(const std::function<void()>& save) {
    const auto start = std::chrono::steady_clock::now();
    save();
    wait_ = std::max(least_, seconds_since(start) / kSavingShare);
    last_ = std::chrono::steady_clock::now();
  }

 private:
  double least_, wait_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

class Collector {
 public:
  Collector(const infer::Model& model, const CalibrationTokens& text, const CollectOptions& options, path out)
      : model_(model),
        options_(options),
        out_(std::move(out)),
        runner_(model, text, options.chunk_tokens, options.output, options.compute),
        end_(last_chunk(text)),
        key_(key_of(text)),
        clock_(options.save_seconds) {}

  CollectReport run(const std::string& dataset, Existing existing) {
    const auto start = std::chrono::steady_clock::now();
    if (options_.full) choose_inputs();
    if (options_.full && options_.output) add_row_groups();
    load_passes();
    check_room();
    report_.passes = static_cast<int64_t>(passes_.size());
    report_.chunks = chunks();
    report_.inputs = static_cast<int64_t>(inputs_.size());
    Progress progress{"collecting", chunks() * report_.passes, Progress::Unit::items};
    for (const CollectPass& pass : passes_) report_.resumed += pass.chunks_done;
    progress.advance(report_.resumed);
    for (size_t i = 0; i < passes_.size(); ++i)
      if (passes_[i].chunks_done < chunks()) run_pass(i, progress);
    write(dataset, existing);
    for (size_t i = 0; remove(pass_path(i)) || i < passes_.size(); ++i) remove_leftovers(pass_path(i));
    report_.file_bytes = static_cast<int64_t>(std::filesystem::file_size(out_));
    report_.seconds = seconds_since(start);
    return report_;
  }

 private:
  int64_t chunks() const { return end_ - options_.skip_chunks; }
  path pass_path(size_t i) const { return str(out_.string(), ".resume-", i + 1); }

  int64_t last_chunk(const CalibrationTokens& text) const {
    const int64_t have = runner_.chunks(), skip = options_.skip_chunks;
    if (have <= skip)
      throw Error{
          str("the text has ", text.tokens.size(), " tokens, ", have, " chunks of ", options_.chunk_tokens,
              skip ? str("; none is left behind the first ", skip) : ""),
          text.name,
          "give a longer text or shorter chunks"};
    return options_.chunks > 0 && options_.chunks < have - skip ? skip + options_.chunks : have;
  }

  Digest key_of(const CalibrationTokens& text) const {
    const Digest contents = model_.source().contents_digest();
    Hasher hasher;
    hasher.add("collect").add(kVersion).add_array<uint8_t>(contents.bytes).add_array<int32_t>(text.tokens);
    hasher.add(text.bos ? str(*text.bos) : std::string{"-"});
    for (const int64_t number : {options_.chunk_tokens, options_.skip_chunks, end_, int64_t{options_.output},
                                 int64_t{options_.full}, static_cast<int64_t>(options_.compute)})
      hasher.add(static_cast<uint64_t>(number));
    return hasher.finish();
  }

  void choose_inputs() {
    inputs_ = find_inputs(runner_, model_);
    const auto wide = [&](const MomentInput& input) { return input.dim > options_.full_width; };
    const int64_t left_out = std::ranges::count_if(inputs_, wide);
    std::erase_if(inputs_, wide);
    if (left_out > 0)
      log_line(str(left_out, " inputs are wider than ", options_.full_width,
                 " and get no second moments"));
  }

  /// Second moments grow with the square of the width: better told now than hours later.
  void check_room() const {
    int64_t largest = 0, whole = 0, waiting = 0;
    for (const MomentInput& input : inputs_) {
      largest = std::max(largest, input.matrix_bytes());
      whole += input.mats * input.matrix_bytes();
    }
    for (const CollectPass& pass : passes_)
      for (const MomentSums& m : pass.moments)
        if (passes_.size() > 1 && pass.chunks_done < chunks()) waiting += m.bytes();
    if (const int64_t memory = memory_for(MemoryUse::all); largest > memory)
      throw Error{
          str("a second moment takes ", show_size(largest), " of memory and there are ", show_size(memory)),
          "", "leave wide inputs out, or second moments altogether"};
    std::error_code unknown;
    const path folder = out_.has_parent_path() ? out_.parent_path() : path{"."};
    const std::filesystem::space_info space = std::filesystem::space(folder, unknown);
    if (!unknown && static_cast<uintmax_t>(whole + waiting) > space.available)
      throw Error{str("second moments take ", show_size(whole),
                      waiting > 0 ? str(" and while they are summed ", show_size(waiting)) : "", ", and ",
                      show_size(static_cast<int64_t>(space.available)), " are free"),
                  folder.string(), "name an output elsewhere, or leave wide inputs out",
                  Fault::io};
    if (passes_.size() > 1)
      log_line(str("second moments of ", inputs_.size(), " inputs, ", show_size(whole), ": ", passes_.size(),
                 " passes over the text, for want of memory"));
  }

  void add_row_groups() {
    std::string head;
    groups_ = find_row_groups(runner_, head);
    const auto input = std::ranges::find(inputs_, head, &MomentInput::name);
    if (groups_.empty() || input == inputs_.end()) return;
    rows_input_ = rows_input(head);
    inputs_.push_back({rows_input_, {rows_input_}, input->dim, groups_.count, groups_.group_of});
    runner_.on_logits = [this](const infer::Weight&, const infer::Activations& logits) {
      sensitivity_.push_back(sensitivities(groups_, logits));
    };
  }

  /// What an earlier run saved, then what is left to do.
  void load_passes() {
    int64_t matrices = 0, done = 0;
    for (const MomentInput& input : inputs_) matrices += input.mats;
    while (passes_.empty() || passes_.back().chunks_done == chunks()) {
      auto pass = load_pass(pass_path(passes_.size()), key_);
      if (!pass || !is_of_this_run(*pass) || !goes_on(pass->moments, done)) break;
      for (const MomentSums& m : pass->moments) done += m.mats;
      passes_.push_back(std::move(*pass));
      if (done >= matrices) break;
      release(passes_.size() - 1);
    }
    const int64_t memory = options_.memory_bytes > 0 ? options_.memory_bytes : memory_for(MemoryUse::hessians);
    for (auto& moments : cut_into_passes(inputs_, done, memory))
      passes_.push_back({0, {}, std::move(moments)});
    if (passes_.empty()) passes_.emplace_back();
  }

  /// Whether a saved pass has sums of this model's matrices, and no more chunks than there are.
  bool is_of_this_run(const CollectPass& pass) const {
    const auto fits = [&](const auto& entry) {
      const infer::Weight* weight = model_.find(entry.first);
      return weight && weight->cols == entry.second.cols && weight->matrices == entry.second.mats;
    };
    return pass.chunks_done >= 0 && pass.chunks_done <= chunks() && std::ranges::all_of(pass.columns, fits);
  }

  /// Whether a saved pass begins where `done` matrices end; it does not if a pass before it was lost.
  bool goes_on(const std::vector<MomentSums>& moments, int64_t done) const {
    const auto rest = cut_into_passes(inputs_, done, std::numeric_limits<int64_t>::max());
    if (rest.empty()) return moments.empty();
    if (moments.size() > rest.front().size()) return false;
    for (size_t i = 0; i < moments.size(); ++i) {
      const MomentSums &saved = moments[i], &whole = rest.front()[i];
      const bool is_cut = i + 1 == moments.size() && saved.mats < whole.mats;
      if (saved.input != whole.input || saved.dim != whole.dim || saved.first != whole.first ||
          (saved.mats != whole.mats && !is_cut))
        return false;
    }
    return true;
  }

  /// The sums of a finished pass wait in its file.
  void release(size_t i) {
    if (passes_[i].chunks_done == chunks())
      for (MomentSums& m : passes_[i].moments) m.release();
  }

  void run_pass(size_t i, Progress& progress) {
    CollectPass& pass = passes_[i];
    for (MomentSums& m : pass.moments)
      if (m.sums.empty()) m.allocate();
    MomentCollector moments{inputs_, pass.moments};
    while (pass.chunks_done < chunks()) {
      moments.begin_chunk();
      const auto consume = [&](const infer::Weight& weight, int64_t mat, Matrix<const float> rows) {
        if (i == 0) columns_of(pass, weight).add(weight.name, mat, rows);
        moments.add(weight.name, mat, rows);
        if (!sensitivity_.empty()) add_row_moments(moments, rows);
      };
      try {
        runner_.run(options_.skip_chunks + pass.chunks_done, consume);
      } catch (const Error& error) {
        if (error.fault() == Fault::interrupted) stop(i);
        if (!error.where().empty()) throw;
        throw Error{error.problem(),
                    str(model_.source().path().string(), " on chunk ", options_.skip_chunks + pass.chunks_done),
                    error.remedy(), error.fault()};
      }
      ++pass.chunks_done;
      progress.advance(1, str("chunk ", pass.chunks_done, " of ", chunks()));
      if (pass.chunks_done < chunks() && clock_.due()) save(i);
    }
    for (MomentSums& m : pass.moments) m.mirror();
    if (passes_.size() == 1) return;
    save(i);
    release(i);
  }

  /// Of the head's inputs, which follow the logits of the whole chunk.
  void add_row_moments(MomentCollector& moments, Matrix<const float> inputs) {
    infer::Activations all(inputs.rows, groups_.count);
    int64_t row = 0;
    for (const infer::Activations& part : sensitivity_) {
      std::ranges::copy(part.values(), all.at(row));
      row += part.count();
    }
    sensitivity_.clear();
    for (int64_t g = 0; g < groups_.count; ++g)
      if (moments.wants(rows_input_, g)) {
        const infer::Activations weighted = weighted_inputs(inputs, all, g);
        if (weighted.count() > 0) moments.add(rows_input_, g, weighted.view());
      }
  }

  static ColumnSums& columns_of(CollectPass& pass, const infer::Weight& weight) {
    return pass.columns.try_emplace(weight.name, weight.cols, weight.matrices).first->second;
  }

  void save(size_t i) {
    clock_.run([&] { save_pass(pass_path(i), key_, passes_[i]); });
  }

  [[noreturn]] void stop(size_t i) {
    int64_t done = 0;
    for (const CollectPass& pass : passes_) done += pass.chunks_done;
    if (passes_[i].chunks_done > 0) save(i);
    throw Error{str("interrupted; ", done, " of ", chunks() * report_.passes, " chunks are saved"),
                str(out_.string(), ".resume-*"), "run the same command again to go on", Fault::interrupted};
  }

  Imatrix imatrix(const std::string& dataset) {
    Imatrix imatrix;
    for (const auto& [name, sums] : passes_.front().columns) imatrix.tensors.emplace(name, sums.rounded());
    imatrix.datasets = {dataset};
    imatrix.chunks = chunks();
    imatrix.chunk_tokens = options_.chunk_tokens;
    report_.tensors = static_cast<int64_t>(imatrix.tensors.size());
    return imatrix;
  }

  void write(const std::string& dataset, Existing existing) {
    const Imatrix sums = imatrix(dataset);
    if (is_legacy_name(out_)) return write_legacy_imatrix(out_, sums, existing);
    std::vector<Hessian> moments;
    for (const MomentInput& input : inputs_)
      moments.push_back(
          {input.name, input.tensors, input.dim, input.mats, counts_of(input), {}, input.row_groups});
    size_t at = 0;  // the pass whose sums are in memory
    const auto source = [&](const Hessian& moment, int64_t mat) {
      for (; at < passes_.size(); passes_[at++].moments.clear()) {
        if (passes_.size() > 1) reload(at);
        for (const MomentSums& m : passes_[at].moments)
          if (m.input == moment.input && mat >= m.first && mat < m.first + m.mats)
            return std::span{m.sums}.subspan(static_cast<size_t>((mat - m.first) * m.dim * m.dim),
                                             static_cast<size_t>(m.dim * m.dim));
      }
      return std::span<const float>{};  // which write_imatrix refuses
    };
    write_imatrix(out_, sums, moments, source, existing);
  }

  void reload(size_t i) {
    if (!passes_[i].moments.empty() && !passes_[i].moments.front().sums.empty()) return;
    auto pass = load_pass(pass_path(i), key_);
    const auto is_same = [](const MomentSums& a, const MomentSums& b) {
      return a.input == b.input && a.dim == b.dim && a.first == b.first && a.mats == b.mats;
    };
    if (!pass || !std::ranges::equal(pass->moments, passes_[i].moments, is_same))
      throw Error{"the sums of a pass are gone", pass_path(i).string(), "run the same command again",
                  Fault::io};
    passes_[i].moments = std::move(pass->moments);
  }

  std::vector<float> counts_of(const MomentInput& input) const {
    std::vector<float> counts(static_cast<size_t>(input.mats));
    for (const CollectPass& pass : passes_)
      for (const MomentSums& m : pass.moments)
        if (m.input == input.name) std::ranges::copy(m.counts, counts.begin() + m.first);
    return counts;
  }

  const infer::Model& model_;
  CollectOptions options_;
  path out_;
  ChunkRunner runner_;
  int64_t end_;
  Digest key_;
  SaveClock clock_;
  std::vector<MomentInput> inputs_;
  RowGroups groups_;  // of the head
  std::string rows_input_;
  std::vector<infer::Activations> sensitivity_;  // of the groups to tokens of the present chunk
  std::vector<CollectPass> passes_;
  CollectReport report_;
};

}  // namespace

bool is_legacy_name(const std::filesystem::path& out) {
  return out.extension() == ".dat";
}

CollectReport collect_imatrix(const infer::Model& model, const CalibrationTokens& text,
                              const CollectOptions& options, const std::filesystem::path& out,
                              Existing existing) {
  AtomicFile{out, existing};  // what can be refused is refused now
  if (options.full && is_legacy_name(out))
    throw Error{"the legacy form has no place for second moments", out.string(), "name a .gguf",
                Fault::usage};
  if (options.chunk_tokens < 1 || options.skip_chunks < 0)
    throw Error{str("chunks of ", options.chunk_tokens, " tokens cannot be made"), "", "", Fault::usage};
  tell_if_larger_than_memory(model.source().bytes(), "for every chunk");
  return Collector{model, text, options, out}.run(text.name, existing);
}

}  // namespace snug
