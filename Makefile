# kruntimes: one static binary.  make | make dev | make unit
all: dev
DEV_CC     := gcc
DEV_CFLAGS := -std=gnu11 -D_GNU_SOURCE -I. -MMD -MP -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla -Wformat=2 -Wstrict-prototypes -Werror -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined
LIB_SRC  := $(wildcard core/*.c grpc/*.c grpc/proto/*.c k8s/*.c crds/*.c applets/*.c applets/*/*.c)
UNIT_SRC := $(wildcard tests/kit/*.c tests/unit/*/*.c tests/unit/*/*/*.c)
DEV_OBJ  := $(LIB_SRC:%.c=build/dev/obj/%.o)
build/dev/obj/%.o: %.c Makefile ; @mkdir -p $(@D); $(DEV_CC) $(DEV_CFLAGS) -c $< -o $@
build/dev/kruntimes: build/dev/obj/cmd/kruntimes.o $(DEV_OBJ) ; $(DEV_CC) $(DEV_CFLAGS) $^ -o $@
build/dev/unit: $(UNIT_SRC:%.c=build/dev/obj/%.o) $(DEV_OBJ) ; $(DEV_CC) $(DEV_CFLAGS) $^ -o $@
dev: build/dev/kruntimes
unit: build/dev/unit ; build/dev/unit
.PHONY: all dev unit
-include $(shell find build/dev -name '*.d' 2>/dev/null)
