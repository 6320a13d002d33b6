#include "interop/pickle.h"

#include <algorithm>
#include <cstring>

#include "mpibert/base/error.h"

namespace mpibert {

using Kind = PickleValue::Kind;

namespace {

constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr size_t kMaxArguments = 8;

// Opcodes that Python has and state dicts have not, for the message.
std::string opcode_text(uint8_t code) {
  struct Known {
    uint8_t code;
    const char* name;
  };
  static constexpr Known kRefused[] = {{'i', "INST"},
                                       {'o', "OBJ"},
                                       {0x81, "NEWOBJ"},
                                       {0x92, "NEWOBJ_EX"},
                                       {0x93, "STACK_GLOBAL"},
                                       {0x82, "EXT1"},
                                       {0x83, "EXT2"},
                                       {0x84, "EXT4"},
                                       {'P', "PERSID"},
                                       {'I', "INT"},
                                       {'L', "LONG"},
                                       {'F', "FLOAT"},
                                       {'S', "STRING"},
                                       {'T', "BINSTRING"},
                                       {'V', "UNICODE"},
                                       {'U', "SHORT_BINSTRING"},
                                       {'B', "BINBYTES"},
                                       {'C', "SHORT_BINBYTES"},
                                       {'0', "POP"},
                                       {'1', "POP_MARK"},
                                       {'2', "DUP"},
                                       {'p', "PUT"},
                                       {'g', "GET"},
                                       {'l', "LIST"},
                                       {'d', "DICT"},
                                       {0x8b, "LONG4"},
                                       {0x8c, "SHORT_BINUNICODE"},
                                       {0x8d, "BINUNICODE8"},
                                       {0x8e, "BINBYTES8"},
                                       {0x8f, "EMPTY_SET"},
                                       {0x90, "ADDITEMS"},
                                       {0x91, "FROZENSET"},
                                       {0x94, "MEMOIZE"},
                                       {0x95, "FRAME"},
                                       {0x96, "BYTEARRAY8"}};
  const auto known = std::find_if(std::begin(kRefused), std::end(kRefused), [&](const Known& k) { return k.code == code; });
  return known != std::end(kRefused) ? str_cat("opcode ", known->name) : str_cat("byte ", static_cast<int>(code), ", which is no opcode");
}

}  // namespace

class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, std::string_view bytes, size_t begin, const std::string& where, std::span<const std::string_view> allowed)
      : pickle_(pickle), bytes_(bytes), at_(begin), where_(where), allowed_(allowed) {}

  void run() {
    while (step()) {
    }
    if (stack_.size() != 1 || !marks_.empty())
      fail("STOP with ", stack_.size(), " values and ", marks_.size(), " open marks on the stack, expected one value");
    pickle_.root_ = stack_.back();
    pickle_.end_ = at_;
  }

 private:
  // One opcode; false after STOP.
  bool step() {
    place_ = at_;
    const auto code = number<uint8_t>();
    switch (code) {
      case 0x80:
        check_protocol();
        break;
      case '.':
        return false;
      case 'N':
        push(Kind::kNone);
        break;
      case 0x88:
        push(Kind::kBool, 1);
        break;
      case 0x89:
        push(Kind::kBool, 0);
        break;
      case 'K':
        push(Kind::kInt, number<uint8_t>());
        break;
      case 'M':
        push(Kind::kInt, number<uint16_t>());
        break;
      case 'J':
        push(Kind::kInt, number<int32_t>());
        break;
      case 0x8a:
        push(Kind::kInt, long_integer());
        break;
      case 'G':
        push_float();
        break;
      case 'X':
        push(Kind::kText).text = take(number<uint32_t>());
        break;
      case 'c':
        push_name();
        break;
      case '(':
        open_mark();
        break;
      case ')':
        push(Kind::kTuple);
        break;
      case ']':
        push(Kind::kList);
        break;
      case '}':
        push(Kind::kDict);
        break;
      case 0x85:
        push_tuple(1);
        break;
      case 0x86:
        push_tuple(2);
        break;
      case 0x87:
        push_tuple(3);
        break;
      case 't':
        push_tuple(close_mark());
        break;
      case 'a':
        append(Kind::kList, 1);
        break;
      case 'e':
        append(Kind::kList, close_mark());
        break;
      case 's':
        append(Kind::kDict, 2);
        break;
      case 'u':
        append(Kind::kDict, close_mark());
        break;
      case 'q':
        put(number<uint8_t>());
        break;
      case 'r':
        put(number<uint32_t>());
        break;
      case 'h':
        get(number<uint8_t>());
        break;
      case 'j':
        get(number<uint32_t>());
        break;
      case 'Q':
        wrap(Kind::kPersistent, 1);
        break;
      case 'R':
        reduce();
        break;
      case 'b':
        leave_out_state();
        break;
      default:
        fail(opcode_text(code), ", which state dicts have not");
    }
    return true;
  }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... what) const {
    throw Error(ErrorKind::kCorrupt, str_cat(where_, ": byte ", place_, " of the pickle: ", what...));
  }

  std::string_view take(size_t count) {
    if (count > bytes_.size() - at_) fail("needs ", count, " bytes more, but there are ", bytes_.size() - at_, "; it is truncated");
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  void push_float() {  // no tensor depends on its value
    take(8);
    push(Kind::kFloat);
  }
  int64_t long_integer() {  // little endian, two's complement, as many bytes as it says
    const std::string_view bytes = take(number<uint8_t>());
    if (bytes.size() > 8) fail("an integer of more than 64 bits");
    int64_t value = !bytes.empty() && (bytes.back() & 0x80) != 0 ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::string_view line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("a name without end; it is truncated");
    const std::string_view text = take(end - at_);
    ++at_;
    return text;
  }

  PickleValue& push(Kind kind, int64_t integer = 0) {
    if (pickle_.values_.size() == Pickle::kMaxValues) fail("more than ", Pickle::kMaxValues, " values");
    stack_.push_back(static_cast<uint32_t>(pickle_.values_.size()));
    return pickle_.values_.emplace_back(PickleValue{.kind = kind, .place = place_, .integer = integer});
  }
  // How many values the opcode may take: those above the last mark.
  void need(size_t count) const {
    const size_t there = stack_.size() - (marks_.empty() ? 0 : marks_.back());
    if (there < count) fail("an opcode takes ", count, " values from a stack of ", there);
  }
  std::vector<uint32_t> pop(size_t count) {
    need(count);
    std::vector<uint32_t> values(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return values;
  }
  PickleValue& top() {
    need(1);
    return pickle_.values_[stack_.back()];
  }

  void check_protocol() {
    const auto protocol = number<uint8_t>();
    if (protocol != 2) fail("protocol ", static_cast<int>(protocol), ", expected 2; save it again with torch.save's own pickle_protocol");
  }
  void open_mark() {
    if (marks_.size() == Pickle::kMaxDepth) fail("nested deeper than ", Pickle::kMaxDepth);
    marks_.push_back(stack_.size());
  }
  size_t close_mark() {  // how many values stand above it
    if (marks_.empty()) fail("no mark to go back to");
    const size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }
  void wrap(Kind kind, size_t count) {
    std::vector<uint32_t> items = pop(count);
    push(kind).items = std::move(items);
  }
  void push_tuple(size_t count) { wrap(Kind::kTuple, count); }
  void append(Kind kind, size_t count) {
    const std::vector<uint32_t> values = pop(count);
    PickleValue& target = top();
    if (target.kind != kind || (kind == Kind::kDict && count % 2 != 0)) fail("cannot add ", count, " items to ", kind_text(target.kind));
    target.items.insert(target.items.end(), values.begin(), values.end());
  }

  void put(uint32_t key) {
    top();
    memo_[key] = stack_.back();
  }
  void get(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) fail("refers to the value ", key, ", which was never put aside");
    stack_.push_back(found->second);
  }

  void push_name() {
    const std::string module(line()), name = str_cat(module, ".", line());
    if (name != kOrderedDict && std::find(allowed_.begin(), allowed_.end(), name) == allowed_.end())
      fail("names ", name,
           ", which state dicts have not; nothing of the file was executed. If you trust it, load it in Python and "
           "torch.save(model.state_dict(), FILE)");
    push(Kind::kName).text = name;
  }
  void reduce() {
    const std::vector<uint32_t> operands = pop(2);
    const PickleValue &name = pickle_.values_[operands[0]], &arguments = pickle_.values_[operands[1]];
    if (name.kind != Kind::kName || arguments.kind != Kind::kTuple)
      fail("a call of ", kind_text(name.kind), " with ", kind_text(arguments.kind), ", expected a name and a tuple");
    if (name.text == kOrderedDict) {
      if (!arguments.items.empty()) fail(kOrderedDict, " with arguments");
      push(Kind::kDict);
      return;
    }
    // One tuple may be the arguments of many calls.
    if (arguments.items.size() > kMaxArguments) fail("a call with ", arguments.items.size(), " arguments");
    std::vector<uint32_t> items = {operands[0]};
    items.insert(items.end(), arguments.items.begin(), arguments.items.end());
    push(Kind::kCall).items = std::move(items);
  }
  // BUILD sets attributes of an object. Those of a state dict (_metadata: versions of modules) mean nothing here.
  void leave_out_state() {
    const Kind state = pickle_.values_[pop(1)[0]].kind;
    if (state != Kind::kDict || top().kind != Kind::kDict) fail("attributes that are ", kind_text(state), " for ", kind_text(top().kind));
  }

  Pickle& pickle_;
  std::string_view bytes_;
  size_t at_, place_ = 0;
  const std::string& where_;
  std::span<const std::string_view> allowed_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // sizes of the stack when they were set
  std::unordered_map<uint32_t, uint32_t> memo_;
};

const char* kind_text(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a truth value";
    case Kind::kInt:
      return "an integer";
    case Kind::kFloat:
      return "a number";
    case Kind::kText:
      return "a text";
    case Kind::kName:
      return "a name";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dict";
    case Kind::kCall:
      return "an object";
    case Kind::kPersistent:
      return "a storage";
  }
  return "";
}

Pickle::Pickle(std::string_view bytes, size_t begin, const std::string& where, std::span<const std::string_view> allowed) {
  PickleMachine(*this, bytes, begin, where, allowed).run();
}

}  // namespace mpibert
