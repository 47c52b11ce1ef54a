#include "infer/tokenizer/pre_tokenizer.hpp"

#include <algorithm>
#include <sstream>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

using Text = std::string;

// Insides of character classes. White space is spelled out: what \s means depends on library and options.
const Text kWs =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
const Text kHan =
    R"(\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBEF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F})";
// The cased letters deepseek-llm names one by one.
const Text kLet =
    R"(\x{41}-\x{5A}\x{61}-\x{7A}\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C})"
    R"(\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5})"
    R"(\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57})"
    R"(\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC})"
    R"(\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D})"
    R"(\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B})"
    R"(\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2})"
    R"(\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})";

const Text kAnyCaseSuffix = "'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])";
const Text kSpaceRun = "[" + kWs + "]+(?![^" + kWs + "])|[" + kWs + "]+";
const Text kTail = "[" + kWs + "]*[\\r\\n]+|" + kSpaceRun;
const Text kSymbols = " ?[^" + kWs + "\\p{L}\\p{N}]+";
const Text kLettersOf = "[^\\r\\n\\p{L}\\p{N}]?";  // one sign may lead a word

const Text kGpt2 = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+|" + kSymbols + "|" + kSpaceRun;

Text llama3(const Text& digits) {
  return kAnyCaseSuffix + "|" + kLettersOf + "\\p{L}+|" + digits + "|" + kSymbols + "[\\r\\n]*|" + kTail;
}

/// Words begin where the case rises; letters outside ASCII count as both.
Text o200k(const Text& digits, const Text& suffix) {
  const Text upper = "[^\\P{L}a-z]", lower = "[^\\P{L}A-Z]";
  return kLettersOf + upper + "*" + lower + "+" + suffix + "|" + kLettersOf + upper + "+" + lower + "*" +
         suffix + "|" + digits + "|" + kSymbols + "[\\r\\n/]*|" + kTail;
}

const Text kQwen35 = kAnyCaseSuffix + "|" + kLettersOf + "[\\p{L}\\p{M}]+|\\p{N}| ?[^" + kWs +
                     "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" + kTail;
// U+0800 to U+4E00 and Hangul, less the white space among them.
const Text kCjkWide =
    R"([\x{4E00}-\x{9FA5}\x{0800}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E})"
    R"(\x{2060}-\x{2FFF}\x{3001}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
const Text kCjkKana = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
const Text kDeepseek3 =
    R"([!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" + kTail;
const Text kDeepseekSigns =
    "[" + kWs + R"(]?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3001}-\x{3002}]+)";
// The look-behind changes no match; without it a run of blanks inside a piece would take quadratic time.
const Text kSpacesAtEnd = "(?<![" + kWs + "])[" + kWs + "]+$";
const Text kSeed =
    kAnyCaseSuffix + "|" + kLettersOf + "\\p{L}+|\\p{N}|" + " ?[^" + kWs + "\\p{L}\\p{N}\\r\\n]+|" + kTail;
const Text kBailing = kAnyCaseSuffix + "|" + kLettersOf + "\\p{L}+|\\p{N}|" + kSymbols + "[\\r\\n]*|[" + kWs +
                      "]*[\\r\\n]|" + kSpaceRun;
// Letters with their marks; a single blank between letters joins words.
const Text kExaoneMoe = kAnyCaseSuffix + "|" + kLettersOf +
                        "\\p{L}[\\p{L}\\p{M}]*+(?: \\p{L}[\\p{L}\\p{M}]*+)*+|\\p{N}|" + kSymbols +
                        "[\\r\\n/]?|[" + kWs + "]*[\\r\\n]|" + kSpaceRun;
const Text kKimi = "[" + kHan + "]+|" + kLettersOf + "[^\\P{L}" + kHan + "]+(?:" + kAnyCaseSuffix +
                   ")?|\\p{N}{1,3}|" + kSymbols + "[\\r\\n]*|" + kTail;
const Text kPoro = " ?[^(" + kWs + R"(|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{0964}\x{06D4}\x{060C})]+)";
const Text kLines = "[^\\n]+|\\n+";
const Text kThree = "[0-9][0-9][0-9]";

using Activations = std::vector<PreTokenizer>;

Activations rows() {
  return {
      {.names = "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
       .patterns = {llama3("\\p{N}{1,3}")},
       .ignore_merges = true,
       .add_bos = true},
      {.names = "dbrx smaug-bpe", .patterns = {llama3("\\p{N}{1,3}")}},
      {.names = "qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2",
       .patterns = {llama3("\\p{N}")},
       .clean_up = false},
      {.names = "stablelm2 megrez", .patterns = {llama3("\\p{N}")}},
      {.names = "qwen35", .patterns = {kQwen35}, .clean_up = false},
      {.names = "chatglm-bpe glm4", .patterns = {llama3("\\p{N}{1,3}")}, .default_bos = false},
      {.names =
           "gpt-2 phi-2 olmo mpt jais exaone4 gigachat mellum modern-bert a.x-4.0 jina-es jina-de jina-v2-es "
           "jina-v2-de jina-v1-en jina-v2-code roberta-bpe",
       .patterns = {kGpt2}},
      {.names = "trillion granite-docling", .patterns = {kGpt2}, .clean_up = false},
      {.names = "starcoder refact codeshell exaone minerva-7b mellum2", .patterns = {"\\p{N}", kGpt2}},
      {.names = "smollm command-r", .patterns = {"\\p{N}", kGpt2}, .clean_up = false},
      {.names = "tekken",
       .patterns = {o200k("\\p{N}", "")},
       .ignore_merges = true,
       .add_bos = true,
       .clean_up = false},
      {.names = "gpt-4o llama4 kanana2 talkie minimax-m2",
       .patterns = {o200k("\\p{N}{1,3}", "(?:" + kAnyCaseSuffix + ")?")},
       .clean_up = false},
      {.names = "deepseek-v3 hunyuan-dense joyai-llm",
       .patterns = {"\\p{N}{1,3}", kCjkKana, kDeepseek3},
       .clean_up = false},
      {.names = "deepseek-coder",
       .patterns = {"[\\r\\n]", "[" + kWs + "]?\\p{L}+", "[" + kWs + "]?\\p{P}+", kCjkWide, "\\p{N}"},
       .clean_up = false},
      {.names = "deepseek-llm",
       .patterns = {"[\\r\\n]", "[" + kWs + "]?[" + kLet + "]+", kDeepseekSigns, kSpacesAtEnd, kCjkWide,
                    "\\p{N}+"},
       .clean_up = false},
      {.names = "falcon", .patterns = {"[\\p{P}$+<=>^~|`]+", kGpt2, kThree}},
      {.names = "default", .patterns = {"[\\p{P}$+<=>^~|]+", kGpt2, "\\p{N}+", kThree}},
      {.names = "seed-coder", .patterns = {kSeed}, .clean_up = false},
      {.names = "bailingmoe bailingmoe2 llada-moe", .patterns = {kBailing}, .clean_up = false},
      {.names = "exaone-moe", .patterns = {kExaoneMoe}},
      {.names = "kimi-k2", .patterns = {kKimi}, .clean_up = false},
      {.names = "minicpm5", .patterns = {"\\p{N}{1,3}", llama3("\\p{N}+")}, .ignore_merges = true},
      {.names = "superbpe", .patterns = {"\\p{N}+"}, .clean_up = false, .threes_from_right = true},
      {.names = "poro-chat", .patterns = {kPoro}, .clean_up = false},
      {.names = "bloom gpt3-finnish", .patterns = {kPoro}},
      {.names = "viking", .patterns = {kPoro, "\\p{N}"}, .clean_up = false},
      {.names = "gemma4 granite-embed-multi-311m", .patterns = {kLines}, .raw = true, .newline_words = true},
      {.names = "sarvam-moe", .patterns = {kLines}, .clean_up = false, .raw = true},
      {.names = "laguna", .patterns = {kLines, llama3("\\p{N}")}, .clean_up = false},
  };
}

bool lists(std::string_view names, std::string_view name) {
  std::istringstream all{std::string{names}};
  for (Text each; all >> each;)
    if (each == name) return true;
  return false;
}

bool digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

const std::vector<PreTokenizer>& pre_tokenizers() {
  static const Activations all = rows();
  return all;
}

const PreTokenizer& pre_tokenizer(std::string_view name) {
  Text known;
  for (const PreTokenizer& row : pre_tokenizers()) {
    if (lists(row.names, name)) return row;
    known += (known.empty() ? "" : " ") + row.names;
  }
  throw Error{str("the pre-tokenizer '", name.substr(0, 80), "' is not known"), "tokenizer.ggml.pre",
              str("known: ", known)};
}

void cut_threes_from_right(std::vector<std::string_view>& pieces) {
  std::vector<std::string_view> out;
  for (const std::string_view piece : pieces) {
    size_t done = 0;
    for (size_t at = 0; at < piece.size();) {
      size_t end = at;
      while (end < piece.size() && digit(piece[end])) ++end;
      for (size_t cut = at + (end - at) % 3; cut < end; cut += 3)
        if (cut > done) {
          out.push_back(piece.substr(done, cut - done));
          done = cut;
        }
      at = std::max(end, at + 1);
    }
    if (done < piece.size()) out.push_back(piece.substr(done));
  }
  pieces.swap(out);
}

}  // namespace snug::infer
