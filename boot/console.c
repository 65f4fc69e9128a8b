#include "console.h"
#include "firmware.h"
#include "hv/format.h"

/* 16550 UART: register offsets from its port, and bits of them. */
#define UART_DATA                0
#define UART_DIVISOR_LOW         0
#define UART_INTERRUPT_ENABLE    1
#define UART_DIVISOR_HIGH        1
#define UART_FIFO_CONTROL        2
#define UART_LINE_CONTROL        3
#define UART_MODEM_CONTROL       4
#define UART_LINE_STATUS         5
#define FIFO_ENABLE_AND_CLEAR    0x07
#define LINE_8N1                 0x03
#define LINE_DIVISOR_ACCESS      0x80
#define MODEM_DTR_RTS            0x03
#define STATUS_TRANSMITTER_EMPTY 0x20
#define STATUS_ALL_SENT          0x40
#define STATUS_NO_UART           0xff
#define UART_CLOCK               115200

/* Polls before a character is given up: longer than any baud rate takes, so no hang without UART */
#define TRANSMIT_POLLS 1000000

#define HID_PNP0501 0x050141d0 /* a 16550 UART, as a compressed EISA id */

/* Tells which handles the firmware's console goes to (EDK II's gEfiConsoleOutDeviceGuid). */
static EFI_GUID console_out_device = {
    0xd3b36f2c, 0xd551, 0x11d4, {0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};

static u16 uart_port;    /* written to; 0: none, or the EFI console does that */
static u16 watched_port; /* of the configuration, if it has a UART; 0: none */
static u32 level_shown = LOG_INFO;

static void out8(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 in8(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void uart_set_up(u16 port, u32 baud)
{
    u32 divisor = UART_CLOCK / baud;

    out8(port + UART_INTERRUPT_ENABLE, 0);
    out8(port + UART_LINE_CONTROL, LINE_DIVISOR_ACCESS);
    out8(port + UART_DIVISOR_LOW, (u8)divisor);
    out8(port + UART_DIVISOR_HIGH, (u8)(divisor >> 8));
    out8(port + UART_LINE_CONTROL, LINE_8N1);
    out8(port + UART_FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
    out8(port + UART_MODEM_CONTROL, MODEM_DTR_RTS);
}

static void uart_put(char c)
{
    u32 polls = 0;

    while (!(in8(uart_port + UART_LINE_STATUS) & STATUS_TRANSMITTER_EMPTY)) {
        if (polls++ == TRANSMIT_POLLS)
            return;
    }
    out8(uart_port + UART_DATA, (u8)c);
}

/* What is started next may set the UART up anew, which loses what is still in its buffer. */
static void wait_until_sent(void)
{
    for (u32 polls = 0; watched_port && polls < TRANSMIT_POLLS; polls++)
        if (in8(watched_port + UART_LINE_STATUS) & STATUS_ALL_SENT)
            return;
}

/* True if there is a device path and it has the UART that ACPI numbers uid. */
static bool path_has_uart(EFI_DEVICE_PATH *node, u32 uid)
{
    for (; node && !IsDevicePathEnd(node); node = NextDevicePathNode(node)) {
        const ACPI_HID_DEVICE_PATH *device = (const ACPI_HID_DEVICE_PATH *)node;

        if (DevicePathType(node) == ACPI_DEVICE_PATH && DevicePathSubType(node) == ACPI_DP &&
            device->HID == HID_PNP0501 && device->UID == uid)
            return true;
    }
    return false;
}

/* True if what the firmware prints comes out of the UART that ACPI numbers uid. */
static bool efi_console_uses_uart(u32 uid)
{
    EFI_HANDLE *handles;
    UINTN count;
    bool found = false;

    if (BS->LocateHandleBuffer(ByProtocol, &console_out_device, NULL, &count, &handles) !=
        EFI_SUCCESS)
        return false;
    for (UINTN i = 0; i < count; i++)
        found = found || path_has_uart(firmware_device_path(handles[i]), uid);
    BS->FreePool(handles);
    return found;
}

/* The firmware numbers its UARTs in this order. */
static u32 uart_uid(u16 port)
{
    static const u16 ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    u32 uid = 0;

    while (uid < ARRAY_SIZE(ports) && ports[uid] != port)
        uid++;
    return uid;
}

void console_configure(const struct config *config)
{
    u16 port = config->console_port;

    level_shown = config->log_level;
    uart_port = watched_port = 0;
    if (!port || in8(port + UART_LINE_STATUS) == STATUS_NO_UART)
        return;
    watched_port = port;
    if (efi_console_uses_uart(uart_uid(port)))
        return;
    if (config->console_baud)
        uart_set_up(port, config->console_baud);
    uart_port = port;
}

static void put_line_on_efi_console(const char *text)
{
    CHAR16 line[128];

    while (*text) {
        size_t length = 0;

        while (*text && length < ARRAY_SIZE(line) - 1)
            line[length++] = (CHAR16)*text++;
        line[length] = 0;
        ST->ConOut->OutputString(ST->ConOut, line);
    }
}

void say(enum log_level level, const char *format, ...)
{
    char text[CONFIG_WARNING_MAX], line[CONFIG_WARNING_MAX + 16];
    va_list args;

    if (level > level_shown)
        return;
    va_start(args, format);
    format_string_v(text, sizeof(text), format, args);
    va_end(args);
    format_string(line, sizeof(line), "Plastron: %s\r\n", text);

    put_line_on_efi_console(line);
    for (const char *at = line; uart_port && *at; at++)
        uart_put(*at);
    wait_until_sent();
}
