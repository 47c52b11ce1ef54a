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
#include "base/save_clock.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/collect_pass.hpp"
#include "calibrate/collect_sweep.hpp"
#include "calibrate/pass_sums.hpp"
#include "imatrix/hessian.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using std::filesystem::path;

constexpr uint64_t kVersion = 2;       // raised when the same text would give other sums

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

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
    choose_way();
    load_passes();
    check_room();
    report_.passes = static_cast<int64_t>(passes_.size());
    report_.chunks = chunks();
    report_.inputs = static_cast<int64_t>(collected_.inputs.size());
    for (const CollectPass& pass : passes_) report_.resumed += pass.chunks_done;
    sweeps_ ? run_sweep() : run_chunks();
    write(dataset, existing);
    remove_saved();
    report_.file_bytes = static_cast<int64_t>(std::filesystem::file_size(out_));
    report_.seconds = seconds_since(start);
    return report_;
  }

 private:
  int64_t chunks() const { return end_ - options_.skip_chunks; }
  path pass_path(size_t i) const { return str(out_.string(), ".resume-", i + 1); }
  path place_path() const { return str(out_.string(), ".resume-sweep"); }
  int64_t moment_bytes() const {
    return options_.memory_bytes > 0 ? options_.memory_bytes : memory_for(MemoryUse::hessians);
  }

  /// The place first: it counts on the sums of the passes before it.
  void remove_saved() const {
    remove(place_path());
    remove_leftovers(place_path());
    for (size_t i = 0; remove(pass_path(i)) || i < passes_.size(); ++i) remove_leftovers(pass_path(i));
  }

  /// A model and second moments that stay in memory are run chunk by chunk; else all chunks go through a layer before
  /// the next is read. What one of the two ways saved is nothing to the other.
  void choose_way() {
    int64_t whole = 0;
    for (const MomentInput& input : collected_.inputs) whole += input.mats * input.matrix_bytes();
    sweeps_ = whole > moment_bytes() || !stays_in_memory(model_.source().bytes());
    if (sweeps_) key_ = Hasher{}.add_array<uint8_t>(key_.bytes).add("by layers").finish();
  }

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
    collected_.inputs = find_inputs(runner_, model_);
    const auto wide = [&](const MomentInput& input) { return input.dim > options_.full_width; };
    const int64_t left_out = std::ranges::count_if(collected_.inputs, wide);
    std::erase_if(collected_.inputs, wide);
    if (left_out > 0)
      log_line(str(left_out, " inputs are wider than ", options_.full_width,
                 " and get no second moments"));
  }

  /// Second moments grow with the square of the width: better told now than hours later.
  void check_room() const {
    int64_t largest = 0, whole = 0, waiting = 0;
    for (const MomentInput& input : collected_.inputs) {
      largest = std::max(largest, input.matrix_bytes());
      whole += input.mats * input.matrix_bytes();
    }
    for (const CollectPass& pass : passes_)
      for (const MomentSums& m : pass.moments)
        if (passes_.size() > 1 && pass.chunks_done < chunks()) waiting += m.bytes();
    if (const int64_t memory = free_memory(); largest > memory)
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
      log_line(str("second moments of ", collected_.inputs.size(), " inputs, ", show_size(whole), ": summed in ",
                   passes_.size(), " parts, one after the other, for want of memory"));
  }

  void add_row_groups() {
    std::string head;
    RowGroups groups = find_row_groups(runner_, head);
    const auto input = std::ranges::find(collected_.inputs, head, &MomentInput::name);
    if (groups.empty() || input == collected_.inputs.end()) return;
    const std::string rows = rows_input(head);
    collected_.inputs.push_back({rows, {rows}, input->dim, groups.count, input->stage, groups.group_of});
    collected_.groups = std::move(groups);
    collected_.rows_input = rows;
  }

  /// What an earlier run saved, then what is left to do.
  void load_passes() {
    int64_t matrices = 0, done = 0;
    for (const MomentInput& input : collected_.inputs) matrices += input.mats;
    while (passes_.empty() || passes_.back().chunks_done == chunks()) {
      auto pass = load_pass(pass_path(passes_.size()), key_);
      if (!pass || !is_of_this_run(*pass) || !goes_on(pass->moments, done)) break;
      for (const MomentSums& m : pass->moments) done += m.mats;
      passes_.push_back(std::move(*pass));
      if (done >= matrices) break;
      release(passes_.size() - 1);
    }
    for (auto& moments : cut_into_passes(collected_.inputs, done, moment_bytes()))
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
    const auto rest = cut_into_passes(collected_.inputs, done, std::numeric_limits<int64_t>::max());
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

  void run_sweep() {
    ColumnSumsByTensor columns;
    CollectSweep sweep{{model_, runner_, options_.skip_chunks, end_, collected_, place_path(), key_}, columns, passes_,
                       clock_, [this](size_t i) {
                         if (passes_.size() == 1) return;
                         save_pass(pass_path(i), key_, passes_[i]);
                         release(i);
                       }};
    sweep.run();
    passes_.front().columns = std::move(columns);
    report_.model_reads = sweep.model_reads();
  }

  void run_chunks() {
    CollectPass& pass = passes_.front();
    if (pass.chunks_done == chunks()) return;
    Progress progress{"collecting", chunks(), Progress::Unit::items};
    progress.advance(pass.chunks_done);
    for (MomentSums& m : pass.moments)
      if (m.sums.empty()) m.allocate();
    PassSums sums{collected_, pass.moments, &pass.columns};
    if (!collected_.groups.empty())
      runner_.on_logits = [&](const infer::Weight&, const infer::Activations& logits) { sums.add_logits(logits); };
    while (pass.chunks_done < chunks()) {
      run_chunk(options_.skip_chunks + pass.chunks_done, sums);
      ++pass.chunks_done;
      progress.advance(1, str("chunk ", pass.chunks_done, " of ", chunks()));
      if (pass.chunks_done < chunks() && clock_.due()) save(0);
    }
    for (MomentSums& m : pass.moments) m.mirror();
  }

  void run_chunk(int64_t chunk, PassSums& sums) {
    sums.begin_chunk();
    try {
      runner_.run(chunk, [&](const infer::Weight& weight, int64_t mat, Matrix<const float> rows) {
        sums.add(weight, mat, rows);
      });
    } catch (const Error& error) {
      if (error.fault() == Fault::interrupted) stop(0);
      if (!error.where().empty()) throw;
      throw Error{error.problem(), str(model_.source().path().string(), " on chunk ", chunk), error.remedy(),
                  error.fault()};
    }
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
    for (const MomentInput& input : collected_.inputs)
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
  CollectedMoments collected_;
  bool sweeps_ = false;  // all chunks together, layer by layer
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
  return Collector{model, text, options, out}.run(text.name, existing);
}

}  // namespace snug
