#include "mpibert/nn/activation_arena.h"

#include <gtest/gtest.h>

#include "tests/support/errors.h"

namespace mpibert {
namespace {

using test::expect_error;

TEST(ActivationArena, KeepsSavedApartAndSharesScratchOfOneName) {
  const auto backend = make_backend({});
  ActivationArena arena;
  const PlannedTensor &a = arena.saved("a", DType::kFloat32, {10, 4}), &b = arena.saved("a", DType::kFloat32, {10, 4});
  const PlannedTensor &s = arena.scratch("s", DType::kFloat32, {2, 4}), &t = arena.scratch("s", DType::kFloat32, {100, 4});
  EXPECT_EQ(arena.planned_bytes(), 256 + 256 + 1792) << "in units of 256 bytes: 160, 160 and 1600";
  arena.allocate(*backend);
  EXPECT_NE(a.rows(1).data(), b.rows(1).data());
  EXPECT_EQ(&s, &t);
  EXPECT_EQ(s.rows(100).shape(), (Shape{100, 4}));
}

TEST(ActivationArena, ViewsLieWithinThePlan) {
  const auto backend = make_backend({});
  ActivationArena arena;
  const PlannedTensor& wide = arena.saved("layer.d_wide", DType::kBFloat16, {10, 8});
  expect_error(ErrorKind::kInvalidArgument, {"'layer.d_wide'", "before"}, [&] { wide.rows(1); });
  arena.allocate(*backend);
  EXPECT_EQ(wide.rows(3).shape(), (Shape{3, 8}));
  EXPECT_EQ(wide.as({5, 2, 3}, 50).shape(), (Shape{5, 2, 3}));
  expect_error(ErrorKind::kInvalidArgument, {"'layer.d_wide'", "[10, 8]", "[11, 8]"}, [&] { wide.rows(11); });
  expect_error(ErrorKind::kInvalidArgument, {"'layer.d_wide'"}, [&] { wide.as({5, 2, 3}, 51); });
}

TEST(ActivationArena, RefusesLatePlansAndTwoTypesOfOneScratch) {
  const auto backend = make_backend({});
  ActivationArena arena;
  arena.scratch("s", DType::kFloat32, {1});
  expect_error(ErrorKind::kInvalidArgument, {"'s'", "fp32", "bf16"}, [&] { arena.scratch("s", DType::kBFloat16, {1}); });
  arena.allocate(*backend);
  expect_error(ErrorKind::kInvalidArgument, {"'late'", "after"}, [&] { arena.saved("late", DType::kFloat32, {1}); });
  expect_error(ErrorKind::kInvalidArgument, {"allocated already"}, [&] { arena.allocate(*backend); });
}

}  // namespace
}  // namespace mpibert
